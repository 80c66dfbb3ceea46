"""One process of an embedded Pentad: started, watched, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pentad_cli import launch
from pentad_cli.units import iso_time

State = Literal["starting", "ready", "down", "stopping", "stopped"]

_MOST_LOG_BYTES = 20 * 1024 * 1024


Variables = Mapping[str, str]


async def no_secrets() -> Variables:
    """What a process gets that needs none."""
    return {}


@dataclass(frozen=True)
class Process:
    """What to run. `ready` returns once the process just started can be used, however long that takes.

    `secrets` are variables that only the process itself gets to see; it is started while they are still made.
    """

    name: str
    module: str
    environment: Variables = field(repr=False)
    ready: Callable[[], Awaitable[None]] = field(repr=False)
    secrets: Callable[[], Awaitable[Variables]] = field(default=no_secrets, repr=False)
    arguments: tuple[str, ...] = ()
    address: str = ""
    working_directory: Path | None = None


class Child:
    """A process as it stands."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.state: State = "starting"
        self.pid: int | None = None
        self.restarts = 0
        self.last_exit = ""
        self.started = 0.0
        """Seconds of `time.time()`."""
        self._handle: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self.process.name

    async def start(self) -> None:
        """Starts the process, in a session of its own: the terminal's Ctrl-C is not for it."""
        command = launch.command(self.process.module, *self.process.arguments, waiting=True)
        _rotate(self.log)
        with self.log.open("ab") as log:
            self._handle = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(self.process.environment),
                cwd=self.process.working_directory,
                start_new_session=True,
            )
        self.pid, self.started, self.state = self._handle.pid, time.time(), "starting"
        assert self._handle.stdin is not None
        self._handle.stdin.write(json.dumps(dict(await self.process.secrets())).encode() + b"\n")
        self._handle.stdin.close()

    async def ended(self) -> str:
        """Waits for the process to end; says how it did. What it started in turn is killed."""
        assert self._handle is not None
        pid, code = self._handle.pid, await self._handle.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self.pid, self.state = None, "down"
        self.last_exit = how_it_ended(code)
        return self.last_exit

    async def stop(self, grace: float) -> None:
        """Asks the process to end, and after `grace` seconds makes it."""
        self.state = "stopping"
        if self._handle is not None and self._handle.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._handle.terminate()
            try:
                await asyncio.wait_for(self._handle.wait(), grace)
            except TimeoutError:
                self.kill()
            await self.ended()
        self.state = "stopped"

    def kill(self) -> None:
        """Ends the process and what it started, now."""
        if self._handle is not None and self._handle.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._handle.pid, signal.SIGKILL)

    def snapshot(self) -> dict[str, Any]:
        """For `up.json`."""
        return {
            "name": self.name,
            "state": self.state,
            "pid": self.pid,
            "address": self.process.address,
            "restarts": self.restarts,
            "started": iso_time(self.started) if self.started else None,
            "last_exit": self.last_exit,
            "log": str(self.log),
        }


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def log_tail(log: Path, lines: int = 15) -> list[str]:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return [line.decode(errors="replace").rstrip() for line in deque(file, maxlen=lines)]
    except OSError:
        return []


def _rotate(log: Path) -> None:
    with contextlib.suppress(OSError):
        if log.stat().st_size > _MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
