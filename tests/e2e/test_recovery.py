"""Any process may be killed during a run: it is started again, and the run ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OWN_AGENTS, Cli, eventually, running


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A Pentad whose processes may be killed."""
    folder: Path = tmp_path_factory.mktemp("victim")
    with running(Cli(folder / "state"), OWN_AGENTS) as cli:
        yield cli


@pytest.mark.parametrize("name", ["bus", "registry", "context", "orchestrator", "llm", "agents"])
def test_a_run_survives(victim: Cli, name: str) -> None:
    """Kill -9 of a process while a step is at work: the process comes back, and the run completes."""
    watching = victim.start("run", "go", "--agents", "slow,echo", "-p", "seconds=2", "--json")
    assert watching.stderr is not None
    while "slow started" not in (line := watching.stderr.readline()):
        assert line, watching.communicate()
    before = victim.pids()
    os.kill(before[name], signal.SIGKILL)
    output, errors = watching.communicate(timeout=90)
    assert watching.returncode == 0, errors + output

    def all_well() -> bool:
        found = victim.json("status", code=None)
        return all(process["healthy"] for process in found["processes"])

    eventually(all_well, 30)
    after = victim.json("status")
    [killed] = [process for process in after["processes"] if process["name"] == name]
    assert killed["pid"] != before[name]
    assert (killed["restarts"], killed["last_exit"]) == (1, "was killed by SIGKILL")
    assert "was killed by SIGKILL" in (victim.state / "logs" / "up.log").read_text()


def test_a_run_whose_pentad_is_stopped_says_so(victim: Cli) -> None:
    """Who follows a run while Pentad is stopped does not wait for ever; it goes on at the next start."""
    watching = victim.start("run", "go", "--agents", "slow,echo", "-p", "seconds=3", "--json")
    assert watching.stderr is not None
    while "slow started" not in (line := watching.stderr.readline()):
        assert line, watching.communicate()
    victim("down")
    output, errors = watching.communicate(timeout=30)
    assert (watching.returncode, output) == (1, "")
    assert json.loads(errors.splitlines()[-1])["error"]["reason"] == "PENTAD_STOPPED"
    victim("up", "--detach", "--port-base", "0", "--agents-dir", str(OWN_AGENTS), seconds=90)
    victim("runs", "watch", "last", seconds=60)
