"""The shipped agents, each by itself: with, without and against a model."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from pentad_agents import AgentError, BaseAgent, Candidate, Part, StepOutput
from pentad_agents.agent import agent_description
from pentad_agents.testing import Result, ScriptedLlm, local_context, run_agent

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ("profiler", "summarizer", "analyst", "critic", "writer", "router")


def shipped(name: str) -> BaseAgent:
    """A shipped agent. `agents/` is on the path of a development install."""
    module = importlib.import_module(name)
    return getattr(module, name.capitalize())()  # type: ignore[no-any-return]


def example(name: str) -> dict[str, bytes]:
    """A file of examples/, as inputs."""
    return {name: (EXAMPLES / name).read_bytes()}


CANDIDATES = [
    Candidate(name, agent_description(type(shipped(name))), tuple(shipped(name).CAPABILITIES))
    for name in NAMES
    if name != "router"
]


async def step(
    name: str, inputs: dict[str, bytes], previous: tuple[StepOutput, ...] = (), **options: Any
) -> Result:
    """What an agent answers."""
    return await run_agent(shipped(name), "What is in this?", inputs=inputs, previous=previous, **options)


@pytest.mark.parametrize("name", ["measurements.csv", "report.md", "inquiry.txt", "incident.json"])
@pytest.mark.parametrize("agent", ["summarizer", "analyst", "critic", "writer"])
async def test_every_agent_takes_every_kind(agent: str, name: str) -> None:
    """Whatever the file, every agent but the profiler has something to say about it."""
    result = await step(agent, example(name))
    assert len(result.markdown) > 40


async def test_profiler_wants_a_table() -> None:
    """The profiler profiles a table, and says clearly what is none."""
    result = await step("profiler", example("measurements.csv"))
    assert result.json["rows"] == 459 and "459 rows" in result.markdown
    with pytest.raises(AgentError) as raised:
        await step("profiler", example("report.md"))
    assert raised.value.reason == "NOT_A_TABLE" and "summarizer" in raised.value.message


@pytest.mark.parametrize("agent", ["profiler", "summarizer", "analyst", "critic", "writer"])
@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "EMPTY_INPUT"), (b"\x00\x01\x02" * 50, "BINARY_INPUT"), (None, "NO_INPUT")]
)
async def test_unusable_inputs(agent: str, content: bytes | None, reason: str) -> None:
    """Empty, binary and missing inputs are refused with a reason, at once and for good."""
    with pytest.raises(AgentError) as raised:
        await step(agent, {} if content is None else {"file.bin": content})
    assert raised.value.reason in (reason, "NOTHING_TO_WRITE") and not raised.value.retryable


async def test_one_bad_file_among_good_ones() -> None:
    """An input that cannot be used is told, and the others are used."""
    result = await step(
        "summarizer", {"bad.bin": b"\x00" * 99, "good.txt": b"The pump stopped at noon today."}
    )
    assert "The pump stopped at noon today." in result.markdown and "bad.bin is binary" in result.markdown


async def test_sequence_to_a_report() -> None:
    """Profiler, analyst and writer: the report has the findings and the data, and each anomaly of the
    file."""
    profiled = await step("profiler", example("measurements.csv"))
    analysed = await step("analyst", {}, (profiled.as_step("profiler"),))
    report = (await step("writer", {}, (analysed.as_step("analyst"),))).markdown
    for sign in ("9.81", "(row 114", "0 (row 380", "rises by", "'err'", "2 hours after", "| temperature_c |"):
        assert sign in report
    assert report.startswith("# What is in this?")


async def test_report_on_a_table_from_its_summary() -> None:
    """A table that only the summarizer read is in the report with its columns, even where nothing stands
    out."""
    table = "id,site\n" + "".join(f"{number % 7},{'ab'[number % 2]}\n" for number in range(1400))
    summed = await step("summarizer", {"plain.csv": table.encode()})
    report = (await step("writer", {}, (summed.as_step("summarizer"),))).markdown
    assert "1,400 rows" in report and "| site |" in report


async def test_report_of_what_failed() -> None:
    """The writer says what is missing, and goes on with the rest."""
    summary = await step("summarizer", example("report.md"))
    failed = StepOutput("critic", "critic", reason="AGENT_FAILED", message="it fell over")
    report = (await step("writer", {}, (summary.as_step("summarizer"), failed))).markdown
    assert "## What is missing" in report and "it fell over" in report and "61,400 km" in report


async def test_report_with_an_agent_unknown_to_the_writer() -> None:
    """What any other agent says is taken over under its name."""
    foreign = StepOutput("x", "translator", [Part("", "text/plain", b"Bonjour tout le monde.")])
    assert "## translator\n\nBonjour tout le monde." in (await step("writer", {}, (foreign,))).markdown


async def test_only_failures() -> None:
    """Without anything to write from, the writer says so."""
    failed = StepOutput("a", "a", reason="X", message="nothing worked")
    with pytest.raises(AgentError) as raised:
        await step("writer", {}, (failed,))
    assert raised.value.reason == "NOTHING_TO_WRITE" and "nothing worked" in raised.value.message


async def test_critic_checks_a_report_against_its_source() -> None:
    """After the writer, the critic holds the report against the inputs."""
    written = StepOutput("writer", "writer", [Part("", "text/markdown", b"The pump ran for 15 hours.")])
    result = await step("critic", {"log.txt": b"The pump ran for 12 hours."}, (written,))
    assert result.json["critique"][0]["kind"] == "not in the source"


async def test_critic_after_the_profiler() -> None:
    """Of a table that was profiled before, the critic says what is doubtful."""
    profiled = await step("profiler", example("measurements.csv"))
    answer = await step("critic", {}, (profiled.as_step("profiler"),))
    assert {issue["kind"] for issue in answer.json["critique"]} >= {"outliers", "invalid values"}


async def test_nothing_that_an_agent_works_on() -> None:
    """An agent that cannot work on what came before says so, and does not ask for a file."""
    summed = await step("summarizer", example("report.md"))
    with pytest.raises(AgentError, match="what summarizer made is nothing that it works on"):
        await step("profiler", {}, (summed.as_step("summarizer"),))


async def test_words_of_a_big_model_are_marked() -> None:
    """A big model's words are checked, marked and put first; what the facts do not cover is left out."""
    llm = ScriptedLlm("The vans drove 61,400 km. Acme will buy 900 more.", provider="openai")
    result = await step("summarizer", example("report.md"), ctx=local_context("summarizer", llm))
    assert result.json["worded_by_model"] == "The vans drove 61,400 km."
    assert "Worded by openai/scripted" in result.markdown and "900" not in result.markdown


async def test_words_of_the_built_in_model() -> None:
    """The built-in model is asked by the writer alone, and what it makes up does not get through."""
    llm = ScriptedLlm("The company is a leader in its field.", provider="local")
    summary = await step("summarizer", example("report.md"), ctx=local_context("summarizer", llm))
    assert len(llm.answers) == 1
    report = await step("writer", {}, (summary.as_step("summarizer"),), ctx=local_context("writer", llm))
    assert "leader" not in report.markdown and "wording of local/scripted was left out" in report.markdown


async def test_failing_model() -> None:
    """An agent whose model fails gives its own answer and says so."""
    llm = ScriptedLlm(provider="openai")  # has no answer: raises
    result = await step("analyst", example("report.md"), ctx=local_context("analyst", llm))
    assert result.json["findings"] and "Without a model's wording" in result.markdown


async def route(inputs: dict[str, bytes], *steps: StepOutput, **options: Any) -> Result:
    """The router's answer."""
    candidates = options.pop("candidates", CANDIDATES)
    instruction = options.pop("instruction", "Deal with this")
    return await run_agent(
        shipped("router"), instruction, inputs=inputs, previous=steps, candidates=candidates, **options
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("measurements.csv", ["profiler", "analyst", "writer"]),
        ("report.md", ["summarizer", "analyst", "writer"]),
        ("inquiry.txt", ["summarizer", "analyst", "writer"]),
        ("incident.json", ["summarizer", "analyst", "writer"]),
    ],
)
async def test_route(name: str, path: list[str]) -> None:
    """From any file the router finds its way to a report, and ends the run there."""
    steps: list[StepOutput] = []
    while not (choice := await route(example(name), *steps)).final:
        result = await step(choice.handoff, example(name), tuple(steps))
        steps.append(result.as_step(choice.handoff))
    assert [done.agent for done in steps] == path


async def test_route_around_failures() -> None:
    """An agent that failed is not asked again; with nobody left the run ends."""
    steps = [StepOutput(name, name, reason="X", message="no") for name in ("profiler", "analyst")]
    assert (await route(example("measurements.csv"), *steps)).handoff == "writer"
    steps += [StepOutput(name, name, reason="X", message="no") for name in ("writer", "summarizer", "critic")]
    assert (await route(example("measurements.csv"), *steps)).final


async def test_route_to_who_is_asked_for() -> None:
    """An agent that the instruction names goes first, a user's own as well."""
    mine = [*CANDIDATES, Candidate("translator", "Translates texts into French.", ("translate",))]
    chosen = await route(
        example("report.md"), instruction="Have the translator put this into French", candidates=mine
    )
    assert chosen.handoff == "translator"
    chosen = await route(example("report.md"), instruction="Critique this text: review its quality")
    assert chosen.handoff in ("critic", "summarizer")


async def test_model_decides_between_equals() -> None:
    """Where two fit equally well a model decides, within the schema; one that names nobody is passed over."""
    twins = [Candidate("ann", "Sums up.", ("summarize",)), Candidate("bob", "Sums up.", ("summarize",))]
    llm = ScriptedLlm(json.dumps({"next": "bob"}), json.dumps({"next": "eve"}))
    for expected in ("bob", "ann"):
        chosen = await route(example("report.md"), candidates=twins, ctx=local_context("router", llm))
        assert chosen.handoff == expected and chosen.json["next"] == expected
    assert "by rules" in (await route(example("report.md"), candidates=twins)).json["how"]


async def test_route_without_candidates() -> None:
    """Without anybody to choose from the router says so."""
    with pytest.raises(AgentError, match="no agent to choose from"):
        await route(example("report.md"), candidates=[])


async def test_route_with_unusable_inputs() -> None:
    """With nothing that anybody could read the run ends at once, and says why."""
    with pytest.raises(AgentError, match="is empty"):
        await route({"a.csv": b""})
    assert (await route({"a.csv": b"", "b.txt": b"Some text."})).handoff == "summarizer"
