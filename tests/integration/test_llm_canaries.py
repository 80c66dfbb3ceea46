"""What is said to models and the keys that open them are in nothing that the gateway puts out."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from pentad.llm.v1 import llm_pb2
from pentad_client import ClientConfig, Pentad
from pentad_client.errors import PentadError
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import Base, Tenant
from tests.fixtures.llm_gateway import KEY_CANARY, VARIABLES, upstream_settings
from tests.fixtures.otlp import Collector
from tests.fixtures.ports import unused_port
from tests.fixtures.upstream import Answer, Cut, ErrorEvent, Garbage, Hang, Status, Upstream
from tests.integration.processes import ServiceProcess

PROMPT, ANSWER, ARGUMENT, EXTRA = (
    "canary-prompt-77",
    "canary-answer-88",
    "canary-argument-99",
    "canary-extra-55",
)
PROVIDERS = ("openai", "anthropic", "openai-compatible")


@dataclass
class Gateway:
    """A gateway's process with everything on that it can put something out by."""

    process: ServiceProcess
    pentad: Pentad
    log: Path
    metrics_port: int

    async def metrics(self) -> str:
        """What Prometheus would see."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        body: bytes = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        return body.decode()


@asynccontextmanager
async def gateway(
    database: Database, upstream: Upstream, collector: Collector, folder: Path, **settings: str
) -> AsyncIterator[Gateway]:
    """Started at the loudest log level."""
    tenant, metrics_port, log = new_id(), unused_port(), folder / "gateway.log"
    database.run_sync(lambda session: session.add(Tenant(id=tenant, name="test")), tenant=tenant)
    _, key = await KeyStore(database).create(tenant, name="test", role="admin")
    url = database.url.render_as_string(hide_password=False)
    told = {name: str(value) for name, value in upstream_settings(upstream).items() if name != "port"}
    told |= {"log_level": "debug", "metrics_port": str(metrics_port), "drain_seconds": "2", **settings}
    process = ServiceProcess("pentad_llm_gateway", unused_port(), url, log, **told)
    process.set(
        collector.environment | {name.upper(): told[name] for name in told if name.upper() in VARIABLES}
    )
    await process.start()
    try:
        async with Pentad(ClientConfig(api_key=key, llm_address=process.address)) as pentad:
            yield Gateway(process, pentad, log, metrics_port)
        assert await process.stop() == 0
    finally:
        await process.close()


async def everything_happens(pentad: Pentad, upstream: Upstream, model: str) -> None:
    """Answers, refusals that repeat what was said, retries, tools, streams, and streams that break."""
    echo = {
        "error": {"message": f"bad prompt {PROMPT} for key {KEY_CANARY}", "type": "invalid_request_error"}
    }
    tool = llm_pb2.Tool(name="weather", description=PROMPT, input_schema='{"type":"object","properties":{}}')
    arguments = json.dumps({"city": ARGUMENT})
    for behaviour in (
        Answer(ANSWER),
        Answer(tool=("weather", arguments)),
        Status(500, echo),
        Status(400, echo),
        Status(401, echo),
        Status(403, echo),
        Status(429, echo, {"retry-after": "0.01"}),
        Answer(ANSWER),
        Status(200, f"{ANSWER} is no JSON".encode()),
        Status(200, {"choices": ANSWER}),
    ):
        upstream.will(behaviour)
        with suppress(PentadError):
            await pentad.llm.invoke(PROMPT, model=model, tools=[tool], extras={"top_k": 1, "note": EXTRA})
    for streamed in (
        Answer(f"{ANSWER} {ANSWER} x y"),
        Cut(2),
        Cut(1, orderly=True),
        Garbage(1, f"data: {ANSWER} {{\n\n".encode()),
        ErrorEvent(1),
        Hang(after=1),
    ):
        upstream.will(streamed)
        with suppress(PentadError):
            async with pentad.llm.stream(PROMPT, model=model) as stream:
                async for _ in stream:
                    if isinstance(streamed, Hang):
                        break
    with suppress(PentadError):
        await pentad.llm.count_tokens(PROMPT, model=model)
    with suppress(PentadError):
        await pentad.llm.invoke(PROMPT, model=model, extras={"api_key": KEY_CANARY})


@pytest.mark.parametrize("words", ["false", "true"])
async def test_words_and_keys_stay_where_they_belong(
    llm_database: Database, upstream: Upstream, collector: Collector, tmp_path: Path, words: str
) -> None:
    """At the loudest level, after everything that can happen: keys are in no log, span, metric or row; words
    are in logs and spans if the operator asked for that, and nowhere else."""
    async with gateway(llm_database, upstream, collector, tmp_path, llm_log_words=words) as started:
        for provider in PROVIDERS:
            await everything_happens(started.pentad, upstream, f"{provider}/some-model")
        metrics = await started.metrics()
        own_key = started.pentad.config.api_key.split("_", 2)[2]
    log, exported = started.log.read_text(), b"".join(collector.bodies).decode(errors="replace")
    rows = await asyncio.to_thread(contents, llm_database)
    assert len(collector.named("chat some-model")) >= 45
    assert log.count('"llm call"') >= 45
    assert rows.count("some-model") >= 45
    for canary in (KEY_CANARY, own_key):
        for place, text in (("log", log), ("export", exported), ("metrics", metrics), ("rows", rows)):
            assert canary not in text, (canary, place, around(text, canary))
    for canary in (PROMPT, ANSWER, ARGUMENT, EXTRA):
        for place, text in (("metrics", metrics), ("rows", rows)):
            assert canary not in text, (canary, place, around(text, canary))
        wanted = words == "true" and canary != EXTRA
        for place, text in (("log", log), ("export", exported)):
            assert (canary in text) is wanted, (canary, place, around(text, canary))


def around(text: str, canary: str) -> str:
    """Where it is."""
    place = text.find(canary)
    return text[max(0, place - 200) : place + 100] if place >= 0 else ""


def contents(database: Database) -> str:
    """All rows of all tables."""
    return database.run_sync(
        lambda session: repr(
            [tuple(row) for table in Base.metadata.sorted_tables for row in session.execute(select(table))]
        ),
        tenant=ALL_TENANTS,
    )
