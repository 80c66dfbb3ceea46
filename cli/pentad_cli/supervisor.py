"""Keeps the processes of an embedded Pentad running: starts them, restarts what dies, stops them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from pentad_cli.child import Child, Process, log_tail
from pentad_cli.failure import CliError
from pentad_cli.ports import AGENTS
from pentad_cli.processes import DRAIN_SECONDS
from pentad_cli.state import StateDir
from pentad_cli.units import iso_time, span

START_SECONDS = 60.0
STOP_SECONDS = DRAIN_SECONDS + 4.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.1, 10.0
# A process that lived this long had started well: the next wait is the first one again.
_GOOD_LIFE_SECONDS = 20.0
_TRIES_AT_START = 3
_STARTUP_ERROR_CODE = "exit code 2"


class View(Protocol):
    """Where the supervisor tells what happens."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def changed(self) -> None:
        """A process changed its state."""


class Supervisor:
    """The processes of one Pentad.

    `about` goes into `up.json` beside their state. `began`: when its user began to wait, by `time.time()`.
    """

    def __init__(
        self, plan: Sequence[Process], state: StateDir, view: View, about: dict[str, Any], began: float
    ) -> None:
        self.children = [Child(process, state.log(process.name)) for process in plan]
        self.state = "starting"
        self._state_dir = state
        self._view = view
        self._about = about
        self._stop_asked = asyncio.Event()
        self.ready_seconds: float | None = None
        self._began = began

    def stop(self) -> None:
        """Asks all to end; the second time makes them."""
        if self._stop_asked.is_set():
            for child in self.children:
                child.kill()
        self._stop_asked.set()

    async def run(self, when_ready: Callable[[float], None]) -> None:
        """Runs until `stop()`; `when_ready(seconds)` is called once all are ready for the first time.

        Raises CliError NOT_READY with the end of a log if they do not come up. In any case none is left.
        """
        keepers = [asyncio.create_task(self._keep(child)) for child in self.children]
        try:
            if await self._all_ready(keepers):
                self.ready_seconds = time.time() - self._began
                self._set_state("ready")
                when_ready(self.ready_seconds)
                await self._first_of(self._stop_asked.wait(), keepers)
        finally:
            await self._stop(keepers)

    def snapshot(self) -> dict[str, Any]:
        """For `up.json`."""
        return {
            "pid": os.getpid(),
            "state": self.state,
            "started": iso_time(self._began),
            "ready_seconds": self.ready_seconds,
            **self._about,
            "processes": [child.snapshot() for child in self.children],
        }

    async def _all_ready(self, keepers: list[asyncio.Task[None]]) -> bool:
        """Whether all are ready; False if a stop came first."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._first_of(self._until_ready(), keepers)
        except TimeoutError:
            raise self._not_ready(next(child for child in self.children if child.state != "ready")) from None
        return not self._stop_asked.is_set()

    async def _until_ready(self) -> None:
        while not self._stop_asked.is_set():
            if all(child.state == "ready" for child in self.children):
                return
            await asyncio.sleep(0.02)

    async def _first_of(self, event: Coroutine[Any, Any, Any], keepers: list[asyncio.Task[None]]) -> None:
        """Waits for the event, or for a keeper to fail, which is raised."""
        waiting = asyncio.create_task(event)
        try:
            done, _ = await asyncio.wait([waiting, *keepers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            waiting.cancel()

    async def _keep(self, child: Child) -> None:
        """Starts the process, and again whenever it ends."""
        backoff = _BACKOFF_FIRST
        while True:
            began = time.monotonic()
            how = await self._one_life(child, began)
            if self._stop_asked.is_set():
                return
            if self.state == "starting":
                self._give_up_on(child, how)
            if time.monotonic() - began > _GOOD_LIFE_SECONDS:
                backoff = _BACKOFF_FIRST
            child.restarts += 1
            self._view.note(f"{child.name} {how}; restart {child.restarts} follows (log: {child.log})")
            self._publish()
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _BACKOFF_MOST)

    async def _one_life(self, child: Child, began: float) -> str:
        """Starts the process and waits for its end; says how it ended."""
        try:
            await child.start()
        except OSError as error:
            return f"could not be started: {error}"
        self._publish()
        watching = asyncio.create_task(self._announce(child, began))
        try:
            return await child.ended()
        finally:
            watching.cancel()

    async def _announce(self, child: Child, began: float) -> None:
        await child.process.ready()
        child.state = "ready"
        again = " again" if child.restarts else ""
        where = f" at {child.process.address}" if child.process.address else ""
        self._view.note(f"{child.name} is ready{again}{where} after {span(time.monotonic() - began)}")
        self._publish()

    def _give_up_on(self, child: Child, how: str) -> None:
        """At the start: raises unless another try may help. Who finds its settings wrong exits with 2."""
        if how.endswith(_STARTUP_ERROR_CODE) or child.restarts + 1 >= _TRIES_AT_START:
            raise self._not_ready(child, how)

    def _not_ready(self, child: Child, how: str = "") -> CliError:
        what = how or f"was not ready after {START_SECONDS:.0f} s"
        tail = "\n".join(["Its log ends with:", *log_tail(child.log), f"All of it: {child.log}"])
        return CliError("NOT_READY", f"{child.name} {what}", tail)

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        """Agents first, so that they can say goodbye; then all services at once."""
        self._stop_asked.set()
        self._set_state("stopping")
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for last in (False, True):
            group = [child for child in self.children if (child.name != AGENTS) is last]
            await asyncio.gather(*(child.stop(STOP_SECONDS) for child in group))
            self._publish()
        self._set_state("stopped")
        with contextlib.suppress(OSError):
            self._state_dir.up_file.unlink()

    def _set_state(self, state: str) -> None:
        self.state = state
        self._publish()

    def _publish(self) -> None:
        with contextlib.suppress(OSError):  # a full disk must not stop what runs
            self._state_dir.write_up(self.snapshot())
        self._view.changed()
