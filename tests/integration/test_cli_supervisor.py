"""The supervisor with small processes of the test's own, as real as those of `pentad up`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pentad_cli.child import Process
from pentad_cli.failure import CliError
from pentad_cli.state import StateDir
from pentad_cli.supervisor import Supervisor

# Writes a file when it is ready; ends at SIGTERM, as a service does. Its own child must not outlive it.
STEADY = """
import os, pathlib, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(os.environ["READY"]).write_text(f"{os.getpid()} {child.pid}")
signal.pause()
"""
STUBBORN = """
import os, pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(os.environ["READY"]).write_text(f"{os.getpid()}")
while True: signal.pause()
"""
BROKEN = 'print("the settings are wrong"); raise SystemExit(2)'


class Notes:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def changed(self) -> None:
        pass


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    folder = StateDir(tmp_path / "state")
    folder.prepare()
    return folder


@pytest.fixture
def process(tmp_path: Path) -> Callable[[str, str], Process]:
    """Makes a process out of a name and the code that it runs."""

    def make(name: str, code: str) -> Process:
        (tmp_path / f"{name}_module.py").write_text(code)
        ready_file = tmp_path / f"{name}.ready"
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "READY": str(ready_file)}
        return Process(name, f"{name}_module", environment, _when_written(ready_file))

    return make


def _when_written(file: Path) -> Callable[[], Awaitable[None]]:
    return lambda: eventually(lambda: file.exists() and bool(file.read_text()))


@contextlib.asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    """Runs it in the block, entered when all is ready."""
    ready = asyncio.Event()
    task = asyncio.create_task(supervisor.run(lambda _seconds: ready.set()))
    try:
        await asyncio.wait_for(ready.wait(), 20)
        yield task
    finally:
        supervisor.stop()
        await asyncio.wait_for(task, 20)


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_starts_together_and_stops_all(state: StateDir, process: Callable[[str, str], Process]) -> None:
    """All processes run once it is ready, `up.json` says so, and none is left once it has ended."""
    supervisor = Supervisor([process("one", STEADY), process("two", STEADY)], state, Notes(), {"x": 1}, 0.0)
    async with running(supervisor):
        up = state.read_up()
        assert up is not None
        assert (up["state"], up["x"], up["pid"]) == ("ready", 1, os.getpid())
        pids = [entry["pid"] for entry in up["processes"]]
        assert [entry["state"] for entry in up["processes"]] == ["ready", "ready"]
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)
    assert state.read_up() is None


async def test_restarts_what_is_killed(
    state: StateDir, process: Callable[[str, str], Process], tmp_path: Path
) -> None:
    """A killed process is started again and reported, and what it had started is gone."""
    notes = Notes()
    supervisor = Supervisor([process("one", STEADY)], state, notes, {}, 0.0)
    async with running(supervisor):
        pid, grandchild = map(int, (tmp_path / "one.ready").read_text().split())
        (tmp_path / "one.ready").unlink()
        os.kill(pid, signal.SIGKILL)
        child = supervisor.children[0]
        await eventually(lambda: child.restarts == 1 and child.state == "ready")
        assert child.pid not in (None, pid)
        await eventually(lambda: not is_alive(grandchild))
        assert any("was killed by SIGKILL" in line for line in notes.lines)
        assert any("is ready again" in line for line in notes.lines)


async def test_fails_with_the_log_of_what_does_not_start(
    state: StateDir, process: Callable[[str, str], Process]
) -> None:
    """A process that refuses its settings ends the start at once, with what it said, and the others."""
    supervisor = Supervisor([process("good", STEADY), process("bad", BROKEN)], state, Notes(), {}, 0.0)
    with pytest.raises(CliError) as failure:
        await supervisor.run(lambda _seconds: None)
    assert failure.value.reason == "NOT_READY"
    assert "bad ended with exit code 2" in failure.value.message
    assert "the settings are wrong" in failure.value.hint
    assert all(child.pid is None for child in supervisor.children)


async def test_kills_what_ignores_the_request(
    state: StateDir, process: Callable[[str, str], Process], tmp_path: Path
) -> None:
    """Asked a second time to stop, it kills what does not end by itself."""
    supervisor = Supervisor([process("deaf", STUBBORN)], state, Notes(), {}, 0.0)
    async with running(supervisor):
        pid = int((tmp_path / "deaf.ready").read_text())
        supervisor.stop()
        await asyncio.sleep(0)
        supervisor.stop()
        await eventually(lambda: not is_alive(pid), 3.0)
