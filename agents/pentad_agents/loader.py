"""Loads one file of the agents' folder: refuses what lies outside, tries it in a process of its own, imports
it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pentad_agents.agent import BaseAgent
from pentad_agents.check import invalid
from pentad_agents.guard import guarded
from pentad_agents.importing import FileError, explain, import_file, unload
from pentad_agents.inspection import AgentSpec, InvalidAgent, create, describe, find_agents

CHECK_SECONDS = 10.0
SETUP_SECONDS = 30.0
CHECKS_AT_ONCE = 4


Admit = Callable[[Iterable[str]], None]


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """An agent that is ready for tasks, and what it says of itself."""

    spec: AgentSpec
    agent: BaseAgent


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file's agents, the module they live in, and the files of the folder that they were made from."""

    path: Path
    module: str
    agents: tuple[LoadedAgent, ...]
    files: tuple[Path, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(loaded.spec.name for loaded in self.agents)

    def unload(self) -> None:
        """Forgets the module; to be called when the last task is done."""
        unload(self.module)


def refuse_outside(path: Path, folder: Path) -> None:
    """Raises FileError OUTSIDE_FOLDER if the file, its links followed, lies outside of the folder."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise FileError("OUTSIDE_FOLDER", f"{path.name} is a link that leads nowhere: {error}") from None
    if not real.is_relative_to(folder.resolve()):
        raise FileError(
            "OUTSIDE_FOLDER", f"{path.name} is a link to {real}, outside of the folder; it was not imported"
        )
    if not real.is_file():
        raise FileError("IMPORT_ERROR", f"{path.name} is not a file")


class Loader:
    """Loads files of one folder. `check_seconds`: how long a file may take to be imported."""

    def __init__(self, folder: Path, check_seconds: float = CHECK_SECONDS) -> None:
        self.folder = folder
        self._seconds = check_seconds
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def load(self, path: Path, admit: Admit = lambda names: None) -> LoadedFile:
        """The file's agents, set up. `admit` is given their names before anything of the file runs in this
        process, and may raise FileError. Raises FileError with the reason that the registry lists."""
        refuse_outside(path, self.folder)
        async with self._checks:
            found = await _check(path, self._seconds)
        admit([spec["name"] for spec in found["agents"]])
        try:
            module, agents = await asyncio.to_thread(_import, path)
        except InvalidAgent as error:
            raise invalid(error) from error
        try:
            await _set_up(agents, path)
        except FileError:
            unload(module)
            raise
        return LoadedFile(path, module, agents, tuple(Path(file) for file in found["files"]))


async def tear_down(loaded: LoadedAgent) -> BaseException | None:
    """Calls the agent's `teardown()`; returns what it raised."""
    try:
        await asyncio.wait_for(guarded(loaded.agent.teardown()), SETUP_SECONDS)
    except Exception as error:
        return error
    return None


def _import(path: Path) -> tuple[str, tuple[LoadedAgent, ...]]:
    module = import_file(path)
    try:
        agents = tuple(LoadedAgent(describe(cls, path.stem), create(cls)) for cls in find_agents(module))
    except InvalidAgent:
        unload(module.__name__)
        raise
    return module.__name__, agents


async def _set_up(agents: tuple[LoadedAgent, ...], path: Path) -> None:
    for index, loaded in enumerate(agents):
        try:
            await asyncio.wait_for(guarded(loaded.agent.setup()), SETUP_SECONDS)
        except Exception as error:
            for earlier in agents[:index]:
                await tear_down(earlier)
            why = explain(error, path)
            late = (
                f" took longer than {SETUP_SECONDS:.0f} s" if isinstance(error, TimeoutError) else " failed"
            )
            message = f"setup() of agent {loaded.spec.name!r}{late}: {why.message}"
            raise FileError("INVALID_AGENT", message, why.detail, why.line) from error


async def _check(path: Path, seconds: float) -> dict[str, Any]:
    """What `pentad_agents.check` finds in the file, in a process that is ended when it takes too long."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pentad_agents.check", str(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        why = f"importing {path.name} took longer than {seconds:g} s, and was stopped"
        raise FileError("IMPORT_ERROR", why) from None
    finally:
        _end(process)
        await process.wait()
        await asyncio.sleep(0)  # its pipes close
    return _read_answer(out, err, process.returncode, path)


def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the check and whatever the file started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read_answer(out: bytes, err: bytes, code: int | None, path: Path) -> dict[str, Any]:
    detail = err.decode("utf-8", "replace")[-4000:]
    try:
        found = json.loads(out)
    except ValueError:
        how = f"by signal {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        raise FileError("IMPORT_ERROR", f"importing {path.name} ends the process {how}", detail) from None
    if "reason" in found:
        raise FileError(found["reason"], found["message"], found["detail"], found["line"])
    return dict(found)
