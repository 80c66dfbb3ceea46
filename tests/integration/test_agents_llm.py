"""Agents and models: calls through a real gateway to the real small model."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from tests.integration.agents_host import EXAMPLES, SHIPPED, Host, hosting, until
from tests.integration.orchestrator_house import House, finished, house, texts


@pytest.fixture(scope="module")
def services(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The services with the gateway, for all tests of this file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "pentad.db").write_bytes(sqlite_template.read_bytes())
    with house(folder, f"sqlite:///{folder}/pentad.db") as made:
        made.start("llm_gateway", OPENAI_API_KEY="", ANTHROPIC_API_KEY="")
        yield made


@pytest.fixture
async def host(services: House, tmp_path: Path) -> AsyncIterator[Host]:
    """A host whose agents may call models."""
    address = f"127.0.0.1:{services.ports['llm_gateway']}"
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    async with hosting(
        services, tenant, tmp_path, PENTAD_AGENTS_LLM="on", PENTAD_LLM_ADDRESS=address
    ) as made:
        yield made


async def test_calls_are_answered_and_counted(host: Host) -> None:
    """Whole answers, answers by schema and streams arrive, and their tokens are the run's."""
    body = """
    model = await ctx.llm.default_model()
    whole = await ctx.llm.invoke("Say hello.", max_tokens=8, temperature=0.0)
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    formed = await ctx.llm.invoke("Is water wet?", json_schema=schema, max_tokens=20)
    turns = [{"role": "user", "content": "Count to five."}]
    pieces = [piece async for piece in ctx.llm.stream(turns, max_tokens=12)]
    return {
        "small": model.small, "text": whole.text, "tokens": whole.output_tokens, "provider": whole.provider,
        "yes": formed.data["yes"], "pieces": len(pieces),
    }
    """
    host.write("it", body)
    await host.start()
    run = await finished(host.pentad, (await host.run("it")).run_id, 60)
    assert run.state == pb.STATE_COMPLETED, run.error
    said = json.loads(texts(run.result)[0])
    assert said["small"] and said["text"] and said["provider"] == "local" and 0 < said["tokens"] <= 8
    assert said["yes"] in (True, False) and said["pieces"] > 3
    assert run.usage.calls == 3 and run.usage.output_tokens > said["tokens"]


async def test_cancel_cuts_the_call(host: Host, tmp_path: Path) -> None:
    """Cancelling the run ends an answer that is under way within two seconds."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    body = f"""
    try:
        async for piece in ctx.llm.stream("Tell a very long story.", max_tokens=2000):
            pathlib.Path({str(begun)!r}).touch()
    finally:
        pathlib.Path({str(ended)!r}).touch()
    """
    host.write("it", body)
    await host.start()
    run = await host.run("it")
    await until(begun.exists, 60)
    await host.pentad.orchestrator.cancel_run(run.run_id)
    assert await until(ended.exists) < 2.0


async def test_models_switched_off_by_a_parameter(host: Host) -> None:
    """With the parameter `llm=off` a step's calls are refused, and shipped agents do without."""
    for name in ("profiler", "analyst", "writer"):
        (host.folder / f"{name}.py").write_text((SHIPPED / f"{name}.py").read_text())
    host.write("it", "return await ctx.llm.invoke('hello')")
    await host.start()
    run = await finished(host.pentad, (await host.run("it", llm="off")).run_id)
    assert run.error.reason == "LLM_OFF" and len(run.agent_runs) == 1
    inputs = {"measurements.csv": (EXAMPLES / "measurements.csv").read_bytes()}
    for llm, calls in (("off", 0), ("on", 1)):
        started = await host.run("profiler", "analyst", "writer", inputs=inputs, llm=llm)
        run = await finished(host.pentad, started.run_id, 60)
        assert run.state == pb.STATE_COMPLETED, run.error
        assert run.usage.calls == calls and "9.81" in texts(run.result)[0]


async def test_gateway_that_is_gone(host: Host) -> None:
    """Without the gateway the shipped agents give what they compute, and say why there are no other words."""
    (host.folder / "writer.py").write_text((SHIPPED / "writer.py").read_text())
    host.environment["PENTAD_LLM_ADDRESS"] = "127.0.0.1:9"
    await host.start()
    inputs = {"report.md": (EXAMPLES / "report.md").read_bytes()}
    run = await finished(host.pentad, (await host.run("writer", inputs=inputs)).run_id, 60)
    assert run.state == pb.STATE_COMPLETED, run.error
    report = texts(run.result)[0]
    assert (
        "61,400 km" in report and "Without a model's wording: the call failed (SERVICE_UNREACHABLE)" in report
    )
