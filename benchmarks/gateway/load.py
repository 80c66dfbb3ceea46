"""`python -m benchmarks.gateway.load`: a process of callers.

Reads a job as a line of JSON, warms up, says that it is ready, waits for `go`, does it, writes what came of
it, and waits for the next.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import replace
from itertools import count
from typing import Any

import uvloop

from benchmarks.gateway.clients import CLIENTS, Client
from benchmarks.gateway.job import Job
from benchmarks.gateway.tally import Tally

WARM_UP_CALLS = 20
"""At least; connections are open by then. Not measured."""
TAIL_SECONDS = 6.0
"""For calls under way when the time is over; what takes longer is left."""


async def main() -> None:
    """Does jobs until there are no more."""
    while line := await _line():
        job = Job(**json.loads(line))
        client = CLIENTS[job.protocol](job)
        try:
            _say(await measured(job, client))
        except Exception as error:
            _say({"failed": f"{type(error).__name__}: {error}"[:500]})
        finally:
            await client.close()


async def measured(job: Job, client: Client) -> dict[str, Any]:
    """What came of a job."""
    numbers = count(time.time_ns())
    warm_up = replace(job, calls=max(WARM_UP_CALLS, job.concurrency))
    await work(warm_up, client, Tally(), numbers)
    _say({"ready": True})
    await _line()
    tally = Tally()
    cpu, began = _cpu(), time.perf_counter()
    await work(job, client, tally, numbers)
    return tally.report(time.perf_counter() - began, _cpu() - cpu)


async def work(job: Job, client: Client, tally: Tally, numbers: Any) -> None:
    """All callers, until the time is over or there were enough calls."""
    until = time.perf_counter() + job.seconds
    call = _stream if job.stream else _ask

    async def caller(calls: int) -> None:
        for _ in range(calls):
            if time.perf_counter() > until:
                return
            await call(job, client, tally, next(numbers))

    share = -(-job.calls // job.concurrency)
    callers = [asyncio.create_task(caller(share)) for _ in range(job.concurrency)]
    done, late = await asyncio.wait(callers, timeout=job.seconds + TAIL_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()


async def _ask(job: Job, client: Client, tally: Tally, number: int) -> None:
    began = time.perf_counter()
    text = await client.ask(job, number)
    tally.came(len(text))
    tally.ended(time.perf_counter() - began)


async def _stream(job: Job, client: Client, tally: Tally, number: int) -> None:
    began = time.perf_counter()
    begun = False
    async for text in client.stream(job, number):
        if not begun:
            tally.begun(time.perf_counter() - began)
            begun = True
        tally.came(len(text))
    tally.ended(time.perf_counter() - began)


async def _line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    uvloop.run(main())
