"""`pentad demo`: all of it, once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Cli


@pytest.mark.slow
def test_shows_three_runs_and_cleans_up(cli: Cli) -> None:
    """It runs each strategy on a shipped file, prints and keeps the results, says how to go on, and stops."""
    done = cli("demo", "--state-dir", str(cli.state), seconds=120)
    for strategy in ("sequential", "parallel", "adaptive"):
        assert f"--strategy {strategy}" in done.stdout
        assert (cli.state / "results" / f"{strategy}.md").stat().st_size > 200
    assert "pentad up --detach" in done.stdout
    assert done.stdout.count("# ") >= 3
    assert cli.json("status", code=1)["running"] is False
    with_history = Cli(cli.state)
    with_history("up", "--detach", "--port-base", "0", seconds=90)
    assert [run["status"] for run in with_history.json("runs", "list")] == ["completed"] * 3
    with_history("down")


def test_ctrl_c_stops_what_it_started(cli: Cli) -> None:
    """Interrupted while it starts or runs, it leaves nothing running."""
    process = cli.start("demo", "--state-dir", str(cli.state))
    assert process.stdout is not None
    while "$ pentad run" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode == 130
    assert cli.json("status", code=1)["running"] is False
    assert not any(Path(f"/proc/{pid}").exists() for pid in [process.pid])
