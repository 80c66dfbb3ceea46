"""Runs the local model's process: started when first needed, again when it died, stopped when nobody needs
it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pentad_common.errors import Unavailable
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Which model to run, and how."""

    name: str
    path: Path
    context_tokens: int
    parallel: int
    threads: int


@dataclass(frozen=True, slots=True)
class Running:
    """A process that is ready. `generation` counts starts."""

    process: asyncio.subprocess.Process
    url: str
    api_key: str
    generation: int

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.process.returncode is None


class LocalProcess:
    """At most one process; those who need it at the same time share its start."""

    def __init__(self, model: LocalModel, start_seconds: float, idle_seconds: float) -> None:
        self._model = model
        self._start_seconds = start_seconds
        self._idle_seconds = idle_seconds
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._users = 0
        self._generation = 0
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> Running | None:
        """The process, if there is one."""
        return self._running if self._running and self._running.alive else None

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Running]:
        """Within the block the process is not stopped for idleness. Raises Unavailable
        PROVIDER_UNAVAILABLE."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            yield await self._ready()
        finally:
            self._users -= 1
            if not self._users:
                self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._spawn_stop)

    async def stop(self) -> None:
        """Ends the process, if there is one."""
        async with self._starting:
            running, self._running = self._running, None
            if running is not None:
                await _end(running.process)
                log.info("local model stopped", pid=running.process.pid)

    async def close(self) -> None:
        """Ends the process for good."""
        if self._idle is not None:
            self._idle.cancel()
        await self.stop()

    async def _ready(self) -> Running:
        if (running := self.running) is not None:
            return running
        async with self._starting:
            if (running := self.running) is None:
                if self._running is not None:
                    log.warning(
                        "local model died; starting it again", returncode=self._running.process.returncode
                    )
                running = self._running = await self._start()
            return running

    async def _start(self) -> Running:
        started = asyncio.get_running_loop().time()
        api_key = secrets.token_urlsafe(32)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pentad_llm_gateway.local_server",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        errors: deque[str] = deque(maxlen=5)
        self._watch(process, errors)
        try:
            async with asyncio.timeout(self._start_seconds):
                port = await self._handshake(process, api_key)
        except BaseException as error:
            await _end(process)
            # RuntimeError: uvloop's answer to writing to a process that has already ended.
            if isinstance(error, TimeoutError | OSError | ValueError | KeyError | RuntimeError):
                raise self._failed(process, errors) from None
            raise
        self._generation += 1
        seconds = round(asyncio.get_running_loop().time() - started, 2)
        log.info("local model ready", model=self._model.name, pid=process.pid, port=port, seconds=seconds)
        return Running(process, f"http://127.0.0.1:{port}", api_key, self._generation)

    async def _handshake(self, process: asyncio.subprocess.Process, api_key: str) -> int:
        assert process.stdin is not None and process.stdout is not None
        config = {
            "parent": os.getpid(),
            "model": self._model.name,
            "model_path": str(self._model.path),
            "api_key": api_key,
            "context_tokens": self._model.context_tokens,
            "parallel": self._model.parallel,
            "threads": self._model.threads,
        }
        process.stdin.write(json.dumps(config).encode() + b"\n")
        await process.stdin.drain()
        return int(json.loads(await process.stdout.readline())["port"])

    def _failed(self, process: asyncio.subprocess.Process, errors: deque[str]) -> Unavailable:
        log.error("local model did not start", returncode=process.returncode, errors=list(errors))
        return Unavailable(
            "PROVIDER_UNAVAILABLE",
            "the local model did not start; the gateway's log says why",
            retry_after=5.0,
            provider="local",
        )

    def _watch(self, process: asyncio.subprocess.Process, errors: deque[str]) -> None:
        """Reads what it writes, so that it never waits for a reader; the last lines tell why it did not
        start."""

        async def read() -> None:
            assert process.stderr is not None
            async for line in process.stderr:
                errors.append(line.decode(errors="replace").strip()[:300])

        self._spawn(read())

    def _spawn_stop(self) -> None:
        self._idle = None
        if not self._users:
            self._spawn(self._stop_idle())

    async def _stop_idle(self) -> None:
        if not self._users:
            await self.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends it by the end of its standard input, and if that does not do, by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError):
            raise
