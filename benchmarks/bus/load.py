"""`python -m benchmarks.bus.load`: a process of producers or of consumers.

Reads its job as a line of JSON, says that it is ready, waits for `go`, and writes what it did. A consumer
reads how many were sent, and goes on until it has them all or nothing comes any more.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from importlib import import_module
from typing import Any

import uvloop

from benchmarks.bus.job import EVERYONE, HEADER, PADDING, Job
from benchmarks.bus.tally import Tally

BATCH = 256
"""Messages handed to the client at a time."""
PATIENCE_SECONDS = 5.0
"""How long after the last arrival what is missing is lost."""
_CHECK_SECONDS = 0.02


async def main() -> None:
    """Does one job."""
    job = Job(**json.loads(await _line()))
    client = import_module(f"benchmarks.bus.clients.{job.system.replace('-', '_')}")
    await (_produce(job, client) if job.role == "produce" else _consume(job, client))


async def _line() -> str:
    line: str = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    if not line:
        sys.exit("the benchmark has gone")
    return line


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ------------------------------------------------------------------------------------------ producers


async def _produce(job: Job, client: Any) -> None:
    producers = [client.Producer(job, number) for number in range(job.connections)]
    for producer in producers:
        await producer.open()
    _say(ready=True)
    await _line()
    cpu, began = _cpu(), time.monotonic_ns()
    send = _send_paced if job.rate else _send
    sent = await asyncio.gather(*(send(job, producer, n) for n, producer in enumerate(producers)))
    await asyncio.gather(*(producer.finish() for producer in producers))
    ended = time.monotonic_ns()
    _say(sent=sum(sent), began=began, ended=ended, cpu=_cpu() - cpu)
    await _line()  # the connections stay until the consumers are done
    await asyncio.gather(*(producer.close() for producer in producers), return_exceptions=True)


def _batch(job: Job, producer: int, first: int, count: int) -> list[tuple[int, bytes]]:
    now, pack, consumers = time.monotonic_ns(), HEADER.pack, job.consumers
    numbers = range(first, first + count)
    if job.broadcast:
        return [(EVERYONE, pack(producer, number, now) + PADDING) for number in numbers]
    return [((producer + number) % consumers, pack(producer, number, now) + PADDING) for number in numbers]


async def _send(job: Job, producer: Any, number: int) -> int:
    end = time.monotonic() + job.seconds
    sent = 0
    while sent < job.most and time.monotonic() < end:
        count = min(BATCH, job.most - sent)
        await producer.send(_batch(job, number, sent, count))
        sent += count
        await asyncio.sleep(0)
    return sent


async def _send_paced(job: Job, producer: Any, number: int) -> int:
    began = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < job.seconds and sent < job.most:
        due = min(int(passed * job.rate) + 1, job.most)
        if due > sent:
            await producer.send(_batch(job, number, sent, due - sent))
            sent = due
        await asyncio.sleep(max(0.0, began + sent / job.rate - time.monotonic()))
    return sent


# ------------------------------------------------------------------------------------------ consumers


async def _consume(job: Job, client: Any) -> None:
    tally = Tally(job)
    consumers = [client.Consumer(job, number, tally.receiver(number)) for number in range(job.connections)]
    await client.prepare(job)
    for consumer in consumers:
        await consumer.open()
    running = asyncio.gather(*(consumer.run() for consumer in consumers))
    _say(ready=True)
    await _line()
    cpu = _cpu()
    sent = asyncio.create_task(_line())
    while not sent.done():
        _check(running)
        await asyncio.sleep(_CHECK_SECONDS)
    await _rest(tally, tally.expected(json.loads(sent.result())["sent"]), running)
    _say(**tally.report(), expected=tally.expected(json.loads(sent.result())["sent"]), cpu=_cpu() - cpu)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.gather(*(consumer.close() for consumer in consumers), return_exceptions=True)


def _check(running: asyncio.Future[Any]) -> None:
    if running.done():
        running.result()
        raise RuntimeError("a consumer has ended")


async def _rest(tally: Tally, expected: int, running: asyncio.Future[Any]) -> None:
    """Waits until all has come, or nothing more does."""
    known = time.monotonic_ns()
    while tally.distinct < expected:
        _check(running)
        if time.monotonic_ns() - max(known, tally.last) > PATIENCE_SECONDS * 1e9:
            return
        await asyncio.sleep(_CHECK_SECONDS)


if __name__ == "__main__":
    uvloop.run(main())
