"""A client in a process of its own, to be killed or frozen: `python -m tests.chaos.peer ROLE KEY ADDRESS`.

Each line that it prints says what it is sure of: `confirmed N`, `got N`, `answered N`, `refused REASON`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pentad_client import ClientConfig, Pentad
from pentad_client.bus import Delivery, new_message
from pentad_client.errors import PentadError


async def produce(pentad: Pentad) -> None:
    """Publishes numbers to `worker` for ever."""
    line = await pentad.bus.connect("producer")

    async def one(number: int) -> None:
        await line.publish(new_message("work", str(number), recipient="worker"))
        print("confirmed", number, flush=True)

    for start in range(0, 10**9, 200):
        await asyncio.gather(*(one(number) for number in range(start, start + 200)))


async def consume(pentad: Pentad) -> None:
    """Answers every message: the answer and the ack are one step."""
    line = await pentad.bus.connect("worker", credit=50)
    answers: set[asyncio.Task[None]] = set()
    async for delivery in line:
        task = asyncio.create_task(_answer(delivery))
        answers.add(task)
        task.add_done_callback(answers.discard)


async def slow(pentad: Pentad) -> None:
    """Takes its time over one message, and answers after a line on standard input."""
    line = await pentad.bus.connect("worker", credit=1)
    delivery = await anext(line)
    print("got", delivery.message.payload.data.decode(), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await _answer(delivery)


async def _answer(delivery: Delivery) -> None:
    number = delivery.message.payload.data.decode()
    try:
        await delivery.reply("answer", number)
        print("answered", number, flush=True)
    except PentadError as error:
        print("refused", error.reason, flush=True)


@asynccontextmanager
async def peer(role: str, key: str, address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Such a process; killed at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.peer", role, key, address, stdin=pipe, stdout=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines(process: asyncio.subprocess.Process, count: int = 10**9) -> list[list[str]]:
    """The next lines, as words; all of them until the process ends."""
    assert process.stdout is not None
    found: list[list[str]] = []
    while len(found) < count and (line := await process.stdout.readline()).endswith(b"\n"):
        found.append(line.decode().split())
    return found


async def _main() -> None:
    role, key, address = sys.argv[1:]
    async with Pentad(ClientConfig(api_key=key, bus_address=address)) as pentad:
        await {"produce": produce, "consume": consume, "slow": slow}[role](pentad)


if __name__ == "__main__":
    asyncio.run(_main())
