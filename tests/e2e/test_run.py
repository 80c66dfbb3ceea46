"""`pentad run`: results, progress, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Cli, Terminal

STEP_KEYS = {"name", "agent", "attempt", "status", "started", "finished", "output", "error"}


def test_json_is_one_document(pentad: Cli, tmp_path: Path) -> None:
    """A run prints one JSON document with all that is promised, and nothing else on standard output."""
    file = tmp_path / "note.txt"
    file.write_text("hello")
    run = pentad.json("run", "look", "-f", str(file), "--agents", "echo,echo", "-p", "tone=dry")
    assert (run["status"], run["strategy"], run["degraded"], run["error"]) == (
        "completed",
        "sequential",
        False,
        None,
    )
    assert [(step["agent"], step["attempt"], step["status"]) for step in run["steps"]] == [
        ("echo", 1, "completed"),
        ("echo", 1, "completed"),
    ]
    assert run["steps"][0].keys() >= STEP_KEYS
    assert run["steps"][0]["started"] <= run["steps"][0]["finished"]
    assert run["steps"][0]["output"]["files"] == {"note.txt": [5, "text/plain; charset=utf-8"]}
    assert run["result"]["parameters"] == {"tone": "dry"}
    assert run["result"]["previous"] == [run["steps"][0]["name"]]
    assert run["usage"]["total_tokens"] == 0
    assert pentad.json("runs", "show", run["run_id"]) == run


def test_progress_and_result_go_apart(pentad: Cli) -> None:
    """In pipes, the result alone is on standard output, and progress is plain lines on standard error."""
    done = pentad("run", "look", "--agents", "slow,echo", "-p", "seconds=0.5")
    assert json.loads(done.stdout)["instruction"] == "look"
    assert "\x1b" not in done.stdout + done.stderr
    for words in ("slow started", "slow completed after", "echo completed", "kept: pentad runs show"):
        assert words in done.stderr
    assert re.search(r"slow: \d0% part \d+ of 10", done.stderr)  # which part: progress is thinned out


def test_draws_on_a_terminal(pentad: Cli, terminal: Callable[..., Terminal]) -> None:
    """On a terminal, steps are drawn as they change."""
    screen = terminal(pentad, "run", "look", "--agents", "slow,echo", "-p", "seconds=0.5")
    assert screen.end() == 0
    assert "\x1b[" in screen.shown
    for words in ("slow", "running", "completed", '"instruction": "look"'):
        assert words in screen.shown


def test_no_color_is_honoured(pentad: Cli, terminal: Callable[..., Terminal]) -> None:
    """With NO_COLOR a terminal gets no colours."""
    screen = terminal(pentad, "status", NO_COLOR="1")
    assert screen.end() == 0
    assert "orchestrator" in screen.shown
    assert "\x1b[3" not in screen.shown


def test_parallel_goes_on_without_one(pentad: Cli) -> None:
    """A parallel run completes without a step that fails, and says what is missing."""
    run = pentad.json("run", "look", "-s", "parallel", "--agents", "echo,refuser", "--aggregator", "echo")
    assert (run["status"], run["degraded"], run["missing"]) == ("completed", True, ["refuser"])
    assert run["result"]["failed"] == ["refuser"]
    [failed] = [step for step in run["steps"] if step["agent"] == "refuser"]
    assert failed["error"]["reason"] == "NOT_TODAY"
    done = pentad("run", "look", "-s", "parallel", "--agents", "echo,refuser", "--aggregator", "echo")
    assert "lacks what these could not give: refuser" in done.stderr


def test_adaptive_follows_its_rules(pentad: Cli) -> None:
    """Rules on the output choose who goes on; one without an agent ends the run."""
    rules = ["--rule", "agent == 'slow' => echo", "--rule", "agent == 'echo' =>"]
    run = pentad.json("run", "look", "-s", "adaptive", "--first", "slow", *rules, "-p", "seconds=0.1")
    assert (run["status"], run["strategy"]) == ("completed", "adaptive")
    assert [step["agent"] for step in run["steps"]] == ["slow", "echo"]


def test_a_failure_says_why(pentad: Cli) -> None:
    """A run that fails exits with 1, with the reason on standard error and in the document."""
    done = pentad("run", "look", "--agents", "refuser,echo", code=1)
    assert done.stdout == ""
    assert "NOT_TODAY: this agent never does anything" in done.stderr
    run = pentad.json("run", "look", "--agents", "refuser,echo", code=1)
    assert (run["status"], run["result"]) == ("failed", None)
    assert run["steps"][0]["error"]["reason"] == "NOT_TODAY"


def test_every_attempt_is_shown(pentad: Cli) -> None:
    """A step that failed at first has a row for each attempt."""
    run = pentad.json("run", "look", "--agents", "flaky")
    assert [(step["attempt"], step["status"]) for step in run["steps"]] == [(1, "failed"), (2, "completed")]
    assert run["result"] == "done at attempt 2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agents", "ecko"], "Did you mean 'echo'?"),
        (["--agents", "@fly"], "no agent has the capability 'fly'"),
        (["--agents", "echo", "--aggregator", "echo"], "--aggregator belongs to --strategy parallel"),
        (["-s", "parallel"], "needs agents"),
        (["--agents", "echo", "--file", "/nowhere.csv"], "/nowhere.csv cannot be read"),
        (["--agents", "echo", "--file", "/tmp"], "/tmp is a folder"),
        (["--agents", "echo", "--file", "/dev/null"], "/dev/null: the file is empty"),
        (["-s", "adaptive", "--rule", "1 +* => echo"], "rule 1 cannot be used"),
        (["--agents", "echo", "--timeout", "soon"], "is not a span of time"),
    ],
)
def test_bad_usage_is_told(pentad: Cli, arguments: list[str], words: str) -> None:
    """What cannot work is told in a line, with exit code 2."""
    done = pentad("run", "look", *arguments, code=2)
    assert words in done.stderr
    assert done.stdout == ""


def test_an_interruption_cancels(pentad: Cli) -> None:
    """Ctrl-C cancels the run, says so, and exits with 130; with --json the document says it, too."""
    process = pentad.start("run", "look", "--agents", "slow,echo", "-p", "seconds=30", "--json")
    assert process.stderr is not None
    while "slow started" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert "cancelling run" in errors
    run = json.loads(output)
    assert run["status"] == "cancelled"
    assert pentad.json("runs", "show", run["run_id"])["status"] == "cancelled"


def test_ctrl_c_on_a_terminal_cancels(pentad: Cli, terminal: Callable[..., Terminal]) -> None:
    """The key itself does it, while the picture is drawn."""
    screen = terminal(pentad, "run", "look", "--agents", "slow", "-p", "seconds=30")
    screen.wait_for("part 2 of 10")
    screen.press("\x03")
    assert screen.end() == 130
    assert "is cancelled" in screen.shown


def test_a_time_out_ends_the_run(pentad: Cli) -> None:
    """--timeout bounds the whole run."""
    run = pentad.json("run", "look", "--agents", "slow", "-p", "seconds=30", "--timeout", "1s", code=1)
    assert run["status"] == "failed"
    assert "DEADLINE" in run["error"]["reason"]


def test_detached_runs_are_followed_later(pentad: Cli) -> None:
    """--detach prints the id at once; the run can be listed, watched to its end, and shown."""
    run_id = pentad("run", "later", "--agents", "slow,echo", "-p", "seconds=1", "--detach").stdout.strip()
    assert pentad.json("runs", "list", "--limit", "1")[0]["run_id"] == run_id
    watched = pentad("runs", "watch", "last")
    assert json.loads(watched.stdout)["instruction"] == "later"
    assert "slow completed" in watched.stderr
    shown = pentad("runs", "show", run_id).stdout
    assert "later" in shown
    assert "completed" in shown


def test_runs_are_steered(pentad: Cli) -> None:
    """A run can be cancelled from elsewhere, and taken up again."""
    run_id = pentad("run", "x", "--agents", "slow", "-p", "seconds=30", "--detach").stdout.strip()
    assert pentad.json("runs", "cancel", run_id, "--reason", "changed my mind")["status"] == "cancelled"
    pentad("runs", "watch", run_id, code=1)
    assert pentad.json("runs", "retry", run_id)["status"] in ("pending", "running")
    pentad("runs", "cancel", run_id)
    assert "RUN_NOT_FOUND" in pentad("runs", "show", "0" * 36, "--json", code=1).stderr


def test_large_outputs_come_whole(pentad: Cli) -> None:
    """An output that is too large for a message is in the result all the same; bytes come as they are."""
    assert len(pentad("run", "x", "--agents", "bulky").stdout.strip()) == 16 * 65536
    process = pentad.start("run", "x", "--agents", "bulky", "-p", "binary=1", "-q", text=False)
    output, _ = process.communicate(timeout=30)
    assert len(output) == 1000


def test_large_files_are_uploaded(pentad: Cli, tmp_path: Path) -> None:
    """A file of many megabytes arrives whole, with a word of progress."""
    file = tmp_path / "big.bin"
    file.write_bytes(os.urandom(12_000_000))
    done = pentad("run", "look", "-f", str(file), "--agents", "echo")
    assert json.loads(done.stdout)["files"] == {"big.bin": [12_000_000, "application/octet-stream"]}
    assert "uploading big.bin (11.4 MB)" in done.stderr


def test_standard_input_is_a_file(pentad: Cli) -> None:
    """`--file -` takes what comes through a pipe."""
    done = pentad("run", "look", "-f", "-", "--agents", "echo", input="a,b\n1,2\n")
    assert json.loads(done.stdout)["files"] == {"stdin": [8, "text/plain; charset=utf-8"]}


@pytest.mark.parametrize(
    ("name", "content", "agents", "words"),
    [
        (
            "semicolons.csv",
            "time;value\n1;2,5\n2;3,5\n3;99,0\n".encode("utf-8-sig"),
            "profiler,analyst,writer",
            "value",
        ),
        ("gaps.tsv", b"a\tb\n1\t\n2\tx\n\ty\n", "profiler,writer", "gaps.tsv"),
        ("records.json", b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]', "profiler,writer", "records.json"),
        (
            "notes.md",
            b"# Plan\n\nWe must ship on Friday. The tests fail.\n",
            "summarizer,writer",
            "Friday",
        ),
        ("latin.txt", "Die Größe stimmt nicht. Bitte prüfen.".encode("latin-1"), "summarizer", "Größe"),
    ],
)
def test_files_of_any_kind(
    pentad: Cli, tmp_path: Path, name: str, content: bytes, agents: str, words: str
) -> None:
    """Tables, records and texts of other delimiters and encodings give a result about what is in them."""
    (tmp_path / name).write_bytes(content)
    done = pentad("run", "What stands out?", "-f", str(tmp_path / name), "--agents", agents, "-p", "llm=off")
    assert words in done.stdout


def test_a_binary_file_is_a_clear_error(pentad: Cli, tmp_path: Path) -> None:
    """A binary file that no agent reads fails with its name and a reason, at the first attempt."""
    (tmp_path / "data.csv").write_bytes(os.urandom(5000))
    run = pentad.json("run", "x", "-f", str(tmp_path / "data.csv"), "--agents", "profiler,writer", code=1)
    assert "data.csv" in run["error"]["message"]
    assert len(run["steps"]) == 1


def test_the_shipped_router_deals_with_anything(pentad: Cli, tmp_path: Path) -> None:
    """An adaptive run without any choice of agents ends with a report."""
    (tmp_path / "mail.txt").write_text("Dear team, the pump fails every night. Please call me by Friday. Ann")
    run: Any = pentad.json(
        "run", "Deal with this", "-f", str(tmp_path / "mail.txt"), "-s", "adaptive", "-p", "llm=off"
    )
    assert run["status"] == "completed"
    assert len(run["steps"]) >= 2
    assert "pump" in json.dumps(run["result"])


def test_a_stopped_pentad_is_no_hang(pentad: Cli) -> None:
    """Without a running Pentad, the command says how to start one."""
    other = Cli(pentad.state / "none")
    done = other("run", "x", "--agents", "echo", code=2)
    assert "pentad up --detach" in done.stderr
