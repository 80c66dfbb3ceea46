"""What people are told of a run that ended."""

from __future__ import annotations

import pytest

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.outcome import show_parts, summary


def part(name: str, content_type: str, data: bytes) -> common_pb2.Part:
    return common_pb2.Part(name=name, content=common_pb2.Content(content_type=content_type, data=data))


def test_people_get_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A piece that comes as JSON and as Markdown is shown once, in words; JSON alone is shown."""
    json, other = part("a", "application/json", b"{}"), part("b", "application/json", b"1")
    show_parts([json, part("a", "text/markdown; charset=utf-8", b"# Words"), other])
    assert capsys.readouterr().out == "# Words\n\n1\n"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (["a"], "1 step; kept"),
        (["a", "b"], "2 steps; kept"),
        (["a", "a", "b"], "2 steps in 3 attempts; kept"),
    ],
)
def test_attempts_are_no_steps(steps: list[str], text: str) -> None:
    """A step that is tried again stays one step."""
    attempts = [orchestrator_pb2.AgentRun(step=step) for step in steps]
    assert summary(orchestrator_pb2.Run(run_id="r", agent_runs=attempts)).startswith(text)
