"""Keeps an eye on the agents' folder: loads what is new or changed, lets go of what is gone, tells what
became of each file.

It looks at names, sizes and times a few times a second instead of asking the kernel for events: that costs
about 0.1 ms, sees through links, and works on every file system, network and container mounts included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pentad_agents.importing import FileError
from pentad_agents.loader import CHECK_SECONDS, LoadedFile, Loader, tear_down

POLL_SECONDS = 0.25
START_SECONDS = 1.0  # how long the files found at first are waited for, so that they are taken in by name
SETTLE_SECONDS = 5.0

Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of a file. `reason` is empty for one that is loaded; `agents` are those that are served
    from it."""

    path: str
    agents: tuple[str, ...]
    load_time: datetime
    reason: str = ""
    message: str = ""
    detail: str = ""
    line: int = 0


@dataclass(slots=True)
class _File:
    fingerprint: Fingerprint
    report: FileReport
    loaded: LoadedFile | None = None


Change = Callable[[LoadedFile | None, LoadedFile | None], None]
"""Called with what was served from a file and what is to be served from now on; None for nothing. Must not
wait."""
Report = Callable[[list[FileReport]], None]


class AgentFolder:
    """The top-level `*.py` of a folder, except names that start with `_` or `.`."""

    def __init__(
        self,
        folder: Path,
        change: Change,
        report: Report = lambda files: None,
        *,
        poll_seconds: float = POLL_SECONDS,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._folder = folder
        self._loader = Loader(folder, check_seconds)
        self._change, self._report = change, report
        self._poll_seconds = poll_seconds
        self.settled = asyncio.Event()
        """Set once what was there at first is loaded or failed, or takes very long."""
        self._files: dict[str, _File] = {}
        self._loading: dict[str, tuple[Fingerprint, asyncio.Task[LoadedFile]]] = {}

    @property
    def reports(self) -> list[FileReport]:
        """What became of each file, by name."""
        return [self._files[name].report for name in sorted(self._files)]

    async def watch(self) -> None:
        """Looks at the folder until it is cancelled."""
        wait = START_SECONDS
        asyncio.get_running_loop().call_later(SETTLE_SECONDS, self.settled.set)
        try:
            while True:
                await self.refresh(wait)
                wait = self._poll_seconds
                await asyncio.sleep(self._poll_seconds)
        finally:
            loading = [task for _, task in self._loading.values()]
            for task in loading:
                task.cancel()
            await asyncio.gather(*loading, return_exceptions=True)

    async def refresh(self, wait: float = START_SECONDS) -> None:
        """Looks once: loads what changed, waiting for it at most `wait` seconds; what takes longer is taken
        in later."""
        seen = await asyncio.to_thread(self._scan)
        changed = self._drop(self._files.keys() - seen.keys())
        for name, fingerprint in seen.items():
            known = self._files.get(name)
            if name not in self._loading and (known is None or known.fingerprint != fingerprint):
                work = self._loader.load(self._folder / name, self._admission(name))
                self._loading[name] = (fingerprint, asyncio.create_task(work, name=f"load {name}"))
        if self._loading:
            await asyncio.wait([task for _, task in self._loading.values()], timeout=wait)
        for name in sorted(name for name, (_, task) in self._loading.items() if task.done()):
            await self._take(name, *self._loading.pop(name))
            changed = True
        if changed:
            self._report(self.reports)
        if not self._loading:
            self.settled.set()

    def _scan(self) -> dict[str, Fingerprint]:
        """The files that may hold agents, each with the marks by which a change of it or of its siblings
        shows."""
        everything = self._modules()
        found = {}
        for path in everything:
            if not path.name.startswith("_"):
                known = self._files.get(path.name)
                found[path.name] = _fingerprint([path, *_siblings(known, everything)])
        return found

    def _modules(self) -> list[Path]:
        """All top-level modules of the folder, private ones included."""
        try:
            paths = sorted(self._folder.iterdir())
        except OSError:  # the folder itself is gone for a moment
            return []
        return [path for path in paths if path.suffix == ".py" and path.name[0] != "." and not path.is_dir()]

    def _admission(self, name: str) -> Callable[[Iterable[str]], None]:
        """Refuses names of agents that another file already serves."""

        def admit(agents: Iterable[str]) -> None:
            for other, file in self._files.items():
                for agent in agents:
                    if other != name and file.loaded and agent in file.loaded.names:
                        raise FileError("DUPLICATE_NAME", f"agent {agent!r} is already defined in {other}")

        return admit

    async def _take(self, name: str, fingerprint: Fingerprint, task: asyncio.Task[LoadedFile]) -> None:
        """Puts what was loaded into service, or keeps the last good version and notes why."""
        before = self._files.get(name)
        old = before.loaded if before else None
        try:
            new = task.result()
            await self._admit_loaded(name, new)
        except FileError as error:
            marks = _fingerprint(self._modules(), fingerprint)
            self._files[name] = _File(marks, _failure(name, error, old), old)
            return
        self._change(old, new)
        report = FileReport(name, new.names, datetime.now(UTC))
        self._files[name] = _File(_fingerprint([new.path, *new.files], fingerprint), report, new)
        if old and set(old.names) - set(new.names):
            self._retry_duplicates()

    async def _admit_loaded(self, name: str, new: LoadedFile) -> None:
        try:
            self._admission(name)(new.names)
        except FileError:
            for loaded in new.agents:
                await tear_down(loaded)
            new.unload()
            raise

    def _drop(self, names: Iterable[str]) -> bool:
        gone = [self._files.pop(name) for name in sorted(names)]
        for file in gone:
            if file.loaded:
                self._change(file.loaded, None)
        if gone:
            self._retry_duplicates()
        return bool(gone)

    def _retry_duplicates(self) -> None:
        """A name is free again: the files that wanted it are new again."""
        for file in self._files.values():
            if file.report.reason == "DUPLICATE_NAME":
                file.fingerprint = ()


def _siblings(known: _File | None, everything: list[Path]) -> Iterable[Path]:
    """The files whose change means that the file must be loaded again: those it was made from. Where it is
    not loaded, any of the folder, as the cause may lie there."""
    return known.loaded.files if known and known.loaded and not known.report.reason else everything


def _fingerprint(paths: Iterable[Path], own: Fingerprint = ()) -> Fingerprint:
    """Inode, size and time of each file, in order of their names; those in `own` as they were when loading
    began."""
    known = {mark[0]: mark for mark in own}
    marks = {}
    for path in paths:
        try:
            stat = path.stat()
            mark = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            mark = (str(path), 0, 0, 0)
        marks[str(path)] = known.get(str(path), mark)
    return tuple(marks[key] for key in sorted(marks))


def _failure(name: str, error: FileError, old: LoadedFile | None) -> FileReport:
    report = FileReport(name, (), datetime.now(UTC), error.reason, error.message, error.detail, error.line)
    if not old:
        return report
    return replace(report, agents=old.names, message=f"{error.message} (the version before goes on)")
