"""`pentad up`, `down` and `status`: what a person does with it, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OWN_AGENTS, Cli, Terminal, eventually, is_alive, running

AGENTS = ("--agents-dir", str(OWN_AGENTS))


@pytest.fixture
def stopped(cli: Cli) -> Iterator[Cli]:
    """Whatever the test starts is stopped."""
    yield cli
    with contextlib.suppress(AssertionError):
        cli("down", seconds=60)


def test_stays_in_the_foreground_until_a_signal(stopped: Cli) -> None:
    """In a pipe it prints lines, stays until SIGINT, and leaves no process and no up.json."""
    process = stopped.start("up", "--port-base", "0", *AGENTS)
    assert process.stdout is not None
    lines = []
    while "Pentad is ready" not in (line := process.stdout.readline()):
        assert line, process.communicate()
        lines.append(line)
    for name in ("bus", "registry", "context", "orchestrator", "llm", "agents"):
        assert any(f"{name} is ready" in line for line in lines)
    pids = [*stopped.pids().values(), process.pid]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (0, "")
    assert "Pentad has stopped" in rest
    assert not any(is_alive(pid) for pid in pids)
    assert not (stopped.state / "up.json").exists()
    kept = [stopped.state, *stopped.state.rglob("*")]
    assert stopped.state / "key" in kept
    assert [path for path in kept if path.stat().st_mode & 0o077] == [], "others may read what is the user's"


def test_draws_what_runs_on_a_terminal(stopped: Cli, terminal: Callable[..., Terminal]) -> None:
    """On a terminal it draws the processes; the key Ctrl-C stops all of them in order."""
    screen = terminal(stopped, "up", "--port-base", "0", *AGENTS)
    screen.wait_for("Ctrl-C stops all", 60)
    assert "orchestrator" in screen.shown
    pids = stopped.pids().values()
    screen.press("\x03")
    assert screen.end(40) == 0
    assert "Pentad has stopped" in screen.shown
    assert not any(is_alive(pid) for pid in pids)


def test_two_beside_each_other(stopped: Cli, tmp_path: Path) -> None:
    """Another state directory is another Pentad; a second `up` on the same one is refused."""
    other = Cli(tmp_path / "other")
    with running(stopped, OWN_AGENTS), running(other, OWN_AGENTS):
        pid = stopped.json("status")["pid"]
        refused = stopped("up", "--port-base", "0", *AGENTS, code=1)
        assert f"already running on {stopped.state} (pid {pid})" in refused.stderr
        assert "already running" in stopped("up", "--detach", code=1).stderr
        run = stopped.json("run", "here", "--agents", "echo")
        assert other.json("runs", "list") == []
        assert other("runs", "list", "--state-dir", str(stopped.state)).stdout.count(run["run_id"]) == 1
        kill_and_come_back(other)


def kill_and_come_back(cli: Cli) -> None:
    """Kills the supervisor: nothing is left, `status` says so, and the next `up` goes on with what was."""
    found = cli.json("status")
    cli.json("context", "put", "kept", "1")
    os.kill(found["pid"], signal.SIGKILL)
    pids = [process["pid"] for process in found["processes"]]
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    assert "was killed" in cli("status", code=1).stdout
    assert "no Pentad is running" in cli("run", "x", "--agents", "echo", code=2).stderr
    cli("up", "--detach", "--port-base", str(found["port_base"]), *AGENTS, seconds=90)
    assert cli.json("context", "get", "kept")["value"] == 1


def test_a_port_in_use_is_named(cli: Cli) -> None:
    """A port that something else has is named, with what it is for and how to choose others."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        for options in ([], ["--detach"]):
            refused = cli("up", "--port-base", str(port - 2), *AGENTS, *options, code=1)
            assert f"port {port} (registry) is already in use" in refused.stderr
            assert "--port-base" in refused.stderr
    assert cli.json("status", code=1)["running"] is False


def test_what_cannot_be_is_told(cli: Cli, tmp_path: Path) -> None:
    """An unwritable state directory, a folder of agents that is none, an impossible port: one line each."""
    assert "cannot be used" in Cli(Path("/proc/pentad"))("up", code=1).stderr
    (tmp_path / "file").touch()
    assert "is a file" in cli("up", "--state-dir", str(tmp_path / "file"), code=2).stderr
    assert "does not exist" in cli("up", "--agents-dir", str(tmp_path / "none"), code=2).stderr
    assert "--port-base must be" in cli("up", "--port-base", "80", code=2).stderr
    assert "No Pentad is running" in cli("down").stdout


def test_a_start_that_fails_shows_the_log(cli: Cli) -> None:
    """A process that refuses its settings ends the start; its own words are shown, and nothing is left."""
    broken = Cli(cli.state, {"PENTAD_RETRY_MULTIPLIER": "minus one"})
    failed = broken("up", "--detach", "--port-base", "0", *AGENTS, code=1, seconds=90)
    assert "orchestrator ended with exit code 2" in failed.stderr
    assert "PENTAD_RETRY_MULTIPLIER" in failed.stderr
    assert json.loads(broken("status", "--json", code=1).stdout)["running"] is False
