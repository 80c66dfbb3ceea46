"""A whole run on PostgreSQL with row-level security; what was said in it stays where it belongs."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_client import enveloped
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.models import Base
from tests.fixtures.ports import unused_port
from tests.fixtures.postgres import Postgres
from tests.fixtures.upstream import Answer, Status, Upstream
from tests.integration.agents_host import hosting, until
from tests.integration.orchestrator_house import finished, house

PROVIDER_KEY, PROMPT, FILE = "sk-canary-provider-99", "canary-prompt-77", "canary-file-88"
TRACE_ID = "ab" * 16
MAY_HOLD = {FILE: {"artifact_chunks"}}
"""The tables in which a canary belongs."""
AGENT = f"""
await ctx.progress(0.5, "half way")
await ctx.state.put("note", "kept")
await ctx.state.shared.append("all", 1)
[text] = [await part.text() for part in task.inputs]
answer = await ctx.llm.invoke({PROMPT!r}, max_tokens=4)
try:
    await ctx.llm.invoke({PROMPT!r}, max_tokens=4)
except Exception as error:
    return {{"size": len(text), "said": answer.text, "error": str(error)}}
"""


async def test_secrets_stay_secret(postgres_server: Postgres, upstream: Upstream, tmp_path: Path) -> None:
    """API keys, providers' keys, prompts and files are in no log, metric or error, and in no table but their
    own; the lines of a run carry its tenant, run, agent and the caller's trace.
    """
    metrics_port = unused_port()
    environment: dict[str, Any] = {
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "PENTAD_LLM_DEFAULT_MODEL": "openai/gpt-x",
        "PENTAD_LOG_LEVEL": "debug",
    }
    refusal = {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}"}}
    upstream.will(Answer("fine"), Status(401, refusal))
    with postgres_server.clone() as name:
        url = postgres_server.url(name)
        with house(tmp_path, url, "orchestrator", "context", journal_url=url, **environment) as home:
            home.start("llm", PENTAD_METRICS_PORT=str(metrics_port), **environment)
            async with hosting(home, "acme", tmp_path, PENTAD_AGENTS_LLM="on") as host:
                await host.start()
                host.write("thinker", AGENT)
                await until(lambda: host.live("thinker"))
                with enveloped(traceparent=f"00-{TRACE_ID}-{'cd' * 8}-01"):
                    made = await host.run("thinker", inputs={"file.txt": (FILE * 40_000).encode()})
                run = await finished(host.pentad, made.run_id)
                keys = [host.environment["PENTAD_API_KEY"], host.pentad.config.api_key, home.service_key]
                metrics = await asyncio.to_thread(read, f"http://127.0.0.1:{metrics_port}/metrics")
                await host.stop()
            canaries = [PROVIDER_KEY, PROMPT, FILE, *(key.split("_", 2)[2] for key in keys)]
            tables = contents(url)
    assert run.state == pb.STATE_COMPLETED, run
    logs = logs_in(tmp_path)
    assert len(logs) == 6
    for canary in canaries:
        assert canary not in metrics + str(run), canary
        assert [log for log, text in logs.items() if canary in text] == [], canary
        assert {table for table, text in tables.items() if canary in text} <= MAY_HOLD.get(canary, set()), (
            canary
        )
    calls = [line for line in map(json.loads, logs["llm.log"].splitlines()) if line.get("run") == made.run_id]
    assert calls
    assert {(line["tenant"], line["agent"], line["trace"]) for line in calls} == {
        ("acme", "thinker", TRACE_ID)
    }


def read(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


def logs_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.log")}


def contents(url: str) -> dict[str, str]:
    """All rows of all tables, as text."""
    database = Database(url, pool_size=1)
    try:
        return database.run_sync(
            lambda session: {
                table.name: repr([tuple(row) for row in session.execute(select(table))])
                for table in Base.metadata.sorted_tables
            },
            tenant=ALL_TENANTS,
        )
    finally:
        database.close()
