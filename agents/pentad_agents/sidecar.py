"""The host: keeps the agents of a folder in service, tells the registry of its files, and leaves in good
order."""

from __future__ import annotations

import asyncio
import contextlib

from pentad_agents.cancellations import Cancellations
from pentad_agents.folder import AgentFolder, FileReport
from pentad_agents.loader import LoadedFile, tear_down
from pentad_agents.services import Models
from pentad_agents.settings import ConfigurationError, HostSettings
from pentad_agents.telemetry import get_logger
from pentad_agents.wire import to_files
from pentad_agents.worker import Surroundings, Worker
from pentad_client import Pentad
from pentad_client.errors import PentadError, Unauthenticated

RETRY_SECONDS = 1.0
READY_SECONDS = 30.0

log = get_logger(__name__)


class Sidecar:
    """A host of agents. `async with` it: inside, agents are served; leaving drains."""

    def __init__(self, settings: HostSettings, pentad: Pentad) -> None:
        self._settings = settings
        self._pentad = pentad
        self._around = Surroundings(
            pentad=pentad,
            instance=settings.instance,
            models=Models(pentad.llm),
            cancellations=Cancellations(),
            llm_off=settings.agents_llm == "off",
        )
        self._folder = AgentFolder(
            settings.agents_dir,
            self._change,
            self._note,
            poll_seconds=settings.agents_poll_seconds,
            check_seconds=settings.agents_check_seconds,
        )
        self._workers: dict[str, Worker] = {}
        self._refused: dict[str, str] = {}
        self._served: list[LoadedFile] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def run(self, stopped: asyncio.Event, ready: asyncio.Event) -> None:
        """Serves until `stopped` is set; sets `ready` when all agents that loaded at first are registered.

        Raises ConfigurationError if the API key is not valid.
        """
        tasks = [
            asyncio.create_task(self._folder.watch(), name="watch the folder"),
            asyncio.create_task(self._report_files(), name="report the files"),
            asyncio.create_task(self._get_ready(ready), name="get ready"),
        ]
        stop = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({stop, *tasks[:2]}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[:2]:
                if task.done():
                    task.result()
        finally:
            stop.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(stop, *tasks, return_exceptions=True)
            await self._leave()

    async def _get_ready(self, ready: asyncio.Event) -> None:
        await self._folder.settled.wait()
        waiting = [worker.ready.wait() for worker in self._workers.values()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waiting), READY_SECONDS)
        log.info("ready", agents=sorted(self._workers), folder=str(self._settings.agents_dir))
        ready.set()

    async def _leave(self) -> None:
        """Drains all agents at once, then tears them down."""
        log.info("draining", agents=sorted(self._workers))
        seconds = self._settings.drain_seconds
        await asyncio.gather(*(worker.stop(seconds) for worker in self._workers.values()))
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await asyncio.gather(*(tear_down(one) for file in self._served for one in file.agents))

    # -------------------------------------------------------------------------------- files

    def _change(self, old: LoadedFile | None, new: LoadedFile | None) -> None:
        """Another version of a file, a new file, or one that is gone."""
        going: list[Worker] = []
        for loaded in new.agents if new else ():
            if worker := self._workers.get(loaded.spec.name):
                worker.replace(loaded, new.path.name if new else "")
            else:
                source = new.path.name if new else ""
                self._workers[loaded.spec.name] = Worker(loaded, source, self._around, self._on_refused)
        for name in set(old.names if old else ()) - set(new.names if new else ()):
            going.append(self._workers.pop(name))
            self._refused.pop(name, None)
        if new:
            self._served.append(new)
            log.info("loaded", file=new.path.name, agents=list(new.names))
        if old:
            self._served.remove(old)
            task = asyncio.create_task(self._retire(old, going))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _retire(self, old: LoadedFile, going: list[Worker]) -> None:
        """Lets the tasks of a version finish, then takes it down."""
        for worker in going:
            log.info("the agent leaves", agent=worker.name)
        await asyncio.gather(*(worker.stop(forget=True) for worker in going))
        for loaded in old.agents:
            successor = self._workers.get(loaded.spec.name)
            if successor:
                await successor.finished(loaded)
            if error := await tear_down(loaded):
                log.warning("teardown() failed", agent=loaded.spec.name, error=repr(error))
        old.unload()

    def _note(self, reports: list[FileReport]) -> None:
        for report in reports:
            if report.reason:
                log.warning("not loaded", file=report.path, reason=report.reason, error=report.message)
        self._news.set()

    def _on_refused(self, name: str, why: str) -> None:
        if self._refused.get(name, "") != why:
            self._refused[name] = why
            if not why:
                del self._refused[name]
            self._news.set()

    async def _report_files(self) -> None:
        """Tells the registry what became of the files, at once when that changes, and again and again."""
        interval = RETRY_SECONDS
        while True:
            self._news.clear()
            files = to_files(self._folder.reports, self._refused)
            try:
                interval = await self._pentad.registry.report_files(self._settings.instance, files)
            except Unauthenticated as error:
                raise ConfigurationError(f"PENTAD_API_KEY is not accepted: {error.message}") from error
            except PentadError as error:
                log.warning("the registry could not be told of the files", error=error.message)
                interval = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                # Not wait_for(), which loses a cancellation that comes together with the event (before 3.12).
                async with asyncio.timeout(interval):
                    await self._news.wait()
