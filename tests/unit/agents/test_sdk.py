"""The parts of the SDK that need no services."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2, task_pb2
from pentad_agents import AgentError, BaseAgent, Final, Handoff, Log, Output, Part, on
from pentad_agents.agent import agent_description, agent_name, message_handlers
from pentad_agents.cancellations import Cancellations
from pentad_agents.inspection import NAME, InvalidAgent, describe
from pentad_agents.output import outputs_of
from pentad_agents.settings import ConfigurationError, load_settings
from pentad_agents.testing import local_context, run_agent
from pentad_agents.wire import read_payload, to_error, to_task
from pentad_client.errors import NotFound


class WordCounter(BaseAgent):
    """Counts words.

    Not characters.
    """

    CAPABILITIES = ("count",)

    async def execute(self, task: Any, ctx: Any) -> Any:
        return len((await task.input.text()).split())


async def test_agent_in_a_test() -> None:
    """An agent can be tried without any service."""
    assert (await run_agent(WordCounter(), inputs={"a.txt": "one two"})).json == 2
    with pytest.raises(AgentError, match="--file"):
        await run_agent(WordCounter())


def test_names_and_descriptions() -> None:
    """A name is made from the class's, a description from the first paragraph of its docstring."""
    assert agent_name(WordCounter, "file") == "word-counter"
    assert agent_name(type("HTTPFetchAgent", (BaseAgent,), {}), "file") == "http-fetch"
    assert agent_name(type("Agent", (BaseAgent,), {}), "my_file") == "my-file"
    assert agent_name(type("X", (BaseAgent,), {"name": "given"}), "file") == "given"
    assert agent_description(WordCounter) == "Counts words."


@given(st.from_regex(r"[A-Z][A-Za-z0-9]{0,40}", fullmatch=True))
def test_every_class_has_a_name(name: str) -> None:
    """Whatever a class is called, the name made from it is one that an agent may have."""
    assert NAME.fullmatch(agent_name(type(name, (BaseAgent,), {}), "file"))


@dataclass
class Point:
    """Something with fields."""

    x: int


@pytest.mark.parametrize(
    ("content", "content_type", "data"),
    [
        ("text", "text/plain; charset=utf-8", b"text"),
        (b"\x00", "application/octet-stream", b"\x00"),
        ({"a": [1, 2.5, None]}, "application/json", b'{"a": [1, 2.5, null]}'),
        ([date(2026, 3, 1), {1}, Path("/x")], "application/json", b'["2026-03-01", [1], "/x"]'),
        (Point(1), "application/json", b'{"x": 1}'),
        (7, "application/json", b"7"),
    ],
)
def test_outputs(content: object, content_type: str, data: bytes) -> None:
    """What an agent returns becomes bytes of the kind that fits."""
    assert Output(content).encode() == (content_type, data)


@pytest.mark.parametrize("content", [object(), {"x": float("nan")}])
def test_outputs_that_cannot_be_written(content: object) -> None:
    """What JSON cannot say is refused in words."""
    with pytest.raises(AgentError, match="cannot be written as JSON"):
        Output(content).encode()


def test_pieces_of_an_answer() -> None:
    """A list of outputs are several, any other list is one JSON document, and None is a slip."""
    several = [Output("a"), Part("b", "text/plain", b"b")]
    assert list(outputs_of(several)) == several
    assert [piece.content for piece in outputs_of([1, 2])] == [[1, 2]]  # type: ignore[union-attr]
    with pytest.raises(AgentError, match="returned None"):
        list(outputs_of(None))


async def test_handoff_and_final() -> None:
    """Both may come with an output or without."""

    class Two(BaseAgent):
        async def execute(self, task: Any, ctx: Any) -> Any:
            return Final() if task.instruction == "end" else Handoff("next", {"a": 1})

    assert (await run_agent(Two(), "end")).final
    handed = await run_agent(Two(), "go")
    assert (handed.handoff, handed.json) == ("next", {"a": 1})


async def test_progress_and_log_are_forgiving() -> None:
    """Progress may be awaited or not, and be a text alone; the log takes fields and the standard library's
    way."""
    ctx = local_context()
    ctx.progress(0.5, "half")
    await ctx.progress("only words")
    lines: list[tuple[str, str, dict[str, object]]] = []
    log = Log(lambda level, text, **fields: lines.append((level, text, fields)))
    log("plain")
    log.info("%d rows", 7)
    log.warning("odd %", 1, rows=2)
    assert lines == [("info", "plain", {}), ("info", "7 rows", {}), ("warning", "odd % 1", {"rows": 2})]


async def test_switched_off_models() -> None:
    """A model that is switched off refuses by its own reason."""
    ctx = local_context()
    with pytest.raises(AgentError) as raised:
        await ctx.llm.invoke("hello")
    assert raised.value.reason == "LLM_OFF"
    with pytest.raises(AgentError):
        _ = [piece async for piece in ctx.llm.stream("hello")]


def test_errors_on_the_wire() -> None:
    """An error carries whether it may be tried again: AgentErrors as they say, all others yes."""
    final = to_error(AgentError("NO", "no", n=1))
    again = to_error(AgentError("LATER", "later", retryable=True))
    other = to_error(KeyError("x"))
    service = to_error(NotFound("RUN_NOT_FOUND", "gone"))
    assert (final.reason, final.HasField("retry_after"), dict(final.metadata)) == ("NO", False, {"n": "1"})
    assert (again.reason, again.HasField("retry_after")) == ("LATER", True)
    assert (other.reason, other.message, other.HasField("retry_after")) == (
        "AGENT_FAILED",
        "KeyError: 'x'",
        True,
    )
    assert (service.reason, service.code, service.HasField("retry_after")) == ("RUN_NOT_FOUND", 5, False)


def test_tasks_from_the_wire() -> None:
    """A task is read in both forms, with what failed before; other payloads are told apart."""
    proto = task_pb2.Task(agent_run_id="a", instruction="do", parameters={"k": "v"})
    proto.previous.add(step="s", agent="x", error=common_pb2.Error(reason="R", message="m"))
    binary = bus_pb2.Message(payload=common_pb2.Content(data=proto.SerializeToString()))
    text = b'{"agentRunId": "a", "instruction": "do", "parameters": {"k": "v"}, "unknown": 1}'
    as_json = bus_pb2.Message(payload=common_pb2.Content(content_type="application/json", data=text))
    task = to_task(read_payload(binary, task_pb2.Task), lambda artifact: pytest.fail("no artifact"))
    assert (task.id, task.attempt, task.previous[0].failed, task.previous_of("x")) == ("a", 1, True, None)
    assert read_payload(as_json, task_pb2.Task).parameters["k"] == "v"
    with pytest.raises(ValueError, match="no Task"):
        read_payload(bus_pb2.Message(payload=common_pb2.Content(data=b"\xff\xff")), task_pb2.Task)


def test_cancellations_are_forgotten() -> None:
    """The latest cancellations are remembered, of runs and of single attempts."""
    known = Cancellations(kept=2)
    known.note("r1")
    known.note("r2", "a2")
    assert known.covers(task_pb2.Task(run_id="r1", agent_run_id="x"))
    assert not known.covers(task_pb2.Task(run_id="r2", agent_run_id="a1"))
    assert known.covers(task_pb2.Task(run_id="r2", agent_run_id="a2"))
    known.note("r3")
    assert not known.covers(task_pb2.Task(run_id="r1", agent_run_id="x"))


def test_attempts_after_a_cancellation() -> None:
    """A run that was cancelled and is tried again is at work again: its new attempts are not covered."""
    known = Cancellations()
    before, order, after = (f"01a202c4-9289-7343-942f-15eaaed3f6a{number}" for number in "678")
    known.note("r1", "", order)
    assert known.covers(task_pb2.Task(run_id="r1", agent_run_id=before))
    assert not known.covers(task_pb2.Task(run_id="r1", agent_run_id=after))


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the environment; what is wrong is named, and secrets are not shown."""
    monkeypatch.setenv("PENTAD_API_KEY", "pentad_x_secret")
    settings = load_settings(agents_dir=tmp_path)
    assert settings.instance and "secret" not in repr(settings)
    monkeypatch.setenv("PENTAD_PORT", "http")
    monkeypatch.delenv("PENTAD_API_KEY")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(agents_dir=tmp_path / "nowhere")
    for part in ("PENTAD_API_KEY is not set", "PENTAD_PORT", "nowhere does not exist"):
        assert part in str(raised.value)


def test_methods_for_message_types_are_checked() -> None:
    """One method a type, of the right shape, and not for what the host takes itself."""

    class Good(BaseAgent):
        CAPABILITIES = ("x",)

        async def execute(self, task: Any, ctx: Any) -> Any: ...

        @on("a", "b")
        async def first(self, message: Any, ctx: Any) -> Any: ...

    class Renewed(Good):
        @on("c")
        async def first(self, message: Any, ctx: Any) -> Any: ...

    class Twice(Good):
        @on("a")
        async def second(self, message: Any, ctx: Any) -> Any: ...

    class Plain(Good):
        @on("c")
        def second(self, message: Any) -> Any: ...

    class Taken(Good):
        @on("pentad.task")
        async def second(self, message: Any, ctx: Any) -> Any: ...

    assert message_handlers(Good) == [("a", "first"), ("b", "first")]
    assert message_handlers(Renewed) == [("c", "first")]
    describe(Good, "good")
    for cls, words in ((Twice, "stands at"), (Plain, "must be"), (Taken, "cannot take")):
        with pytest.raises(InvalidAgent, match=words):
            describe(cls, "bad")
