"""A Pentad that runs, and the command that talks to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-P", "-m", "pentad_cli"]
OWN_AGENTS = Path(__file__).parent / "agents"
SHIPPED_AGENTS = Path(__file__).parents[2] / "agents"
# Retries come soon, so that tests of them do not take long.
QUICK = {"PENTAD_RETRY_INITIAL_SECONDS": "0.2"}

Done = subprocess.CompletedProcess[str]


def surroundings(**more: str) -> dict[str, str]:
    """The environment without what is for another Pentad, and without keys of providers of models."""
    dropped = ("PENTAD_", "OPENAI_", "ANTHROPIC_", "XDG_STATE_HOME", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "120", **QUICK, **more}


@dataclass
class Cli:
    """The `pentad` command with a state directory."""

    state: Path
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return surroundings(PENTAD_STATE_DIR=str(self.state), **self.more)

    def __call__(self, *arguments: str, code: int | None = 0, seconds: float = 60, **options: Any) -> Done:
        """Runs it to its end. Fails the test unless it exits with `code`; None takes any."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            **{"stdin": subprocess.DEVNULL, **options} if "input" not in options else options,
        )
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int | None = 0, **options: Any) -> Any:
        """What it prints with --json."""
        return json.loads(self(*arguments, "--json", code=code, **options).stdout)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Starts it, with both outputs as pipes."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        given = {**pipes, "text": True, **options}
        return subprocess.Popen([*COMMAND, *arguments], env=self.environment, **given)

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {one["name"]: one["pid"] for one in self.json("status", code=None)["processes"]}


@contextlib.contextmanager
def running(cli: Cli, agents: Path) -> Iterator[Cli]:
    """Pentad on free ports in the block; stopped after, whatever became of it."""
    cli("up", "--detach", "--port-base", "0", "--agents-dir", str(agents), seconds=120)
    try:
        yield cli
    finally:
        cli("down", seconds=60)


def gather_agents(folder: Path) -> Path:
    """A folder with the shipped agents and those of these tests."""
    folder.mkdir()
    for source in [*SHIPPED_AGENTS.glob("*.py"), *OWN_AGENTS.glob("*.py")]:
        shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="session")
def pentad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A Pentad with the shipped agents and a few for tests, shared by all tests that do it no harm."""
    folder = tmp_path_factory.mktemp("pentad")
    with running(Cli(folder / "state"), gather_agents(folder / "agents")) as cli:
        yield cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command with a state directory of the test's own, on which nothing runs."""
    return Cli(tmp_path / "state")


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `condition` returns once that is true; fails the test if it takes longer."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return value


def is_alive(pid: int) -> bool:
    """Whether there is such a process that is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Terminal:
    """A command on a terminal of its own: what it shows, and keys to press."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *COMMAND, *arguments],
            env=dict(environment),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.shown = ""

    def press(self, keys: str) -> None:
        """Types; `\\x03` is Ctrl-C."""
        os.write(self._master, keys.encode())

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        """Reads until `text` was shown."""
        until = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < until, f"{text!r} was not shown, but:\n{self.shown}"
            if not self._read():
                assert text in self.shown, f"ended without {text!r}:\n{self.shown}"

    def end(self, seconds: float = 30.0) -> int:
        """Reads to the end; returns the exit code."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._read():
            pass
        code = self.process.wait(max(0.1, until - time.monotonic()))
        os.close(self._master)
        return code

    def _read(self) -> bool:
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Runs a command on a terminal: `terminal(cli, "status")`."""
    started: list[Terminal] = []

    def open_terminal(cli: Cli, *arguments: str, **more: str) -> Terminal:
        started.append(Terminal(arguments, {**cli.environment, **more}))
        return started[-1]

    yield open_terminal
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGKILL)
            one.process.wait()
