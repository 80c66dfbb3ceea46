"""The example of a provider outside of the gateway, installed and asked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from pentad_client import ClientConfig, Pentad, PentadError
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from tests.fixtures.ports import unused_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "llm-provider"
ANSWERS = {"What is the answer?": "forty two", "*": "who knows"}


@pytest.fixture
async def site(tmp_path: Path) -> Path:
    """Where the package is, as an installer leaves it."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--no-deps"]
    options = ["--no-build-isolation", "--python", sys.executable, "--target", str(site), str(EXAMPLE)]
    installing = await asyncio.create_subprocess_exec(*command, *options)
    assert await installing.wait() == 0
    return site


@pytest.fixture
async def gateway(
    site: Path, sqlite_url: str, tmp_path: Path, no_provider_keys: None
) -> AsyncIterator[tuple[Pentad, AsyncOpenAI]]:
    """Clients of a gateway, as it is, in an environment where the package is installed."""
    (tmp_path / "answers.json").write_text(json.dumps(ANSWERS))
    database, tenant = Database(sqlite_url), new_id()
    database.run_sync(lambda session: session.add(Tenant(id=tenant, name="test")), tenant=tenant)
    _, key = await KeyStore(database).create(tenant, name="test", role="admin")
    database.close()
    port, http_port = unused_port(), unused_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "CANNED_ANSWERS": str(tmp_path / "answers.json"),
        "PENTAD_DATABASE_URL": sqlite_url,
        "PENTAD_PORT": str(port),
        "PENTAD_LLM_HTTP_PORT": str(http_port),
    }
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pentad_llm_gateway", env=environment, stderr=log
        )
    try:
        async with (
            Pentad(ClientConfig(api_key=key, llm_address=f"127.0.0.1:{port}")) as pentad,
            AsyncOpenAI(base_url=f"http://127.0.0.1:{http_port}/v1", api_key=key) as openai,
        ):
            await until_served(pentad)
            yield pentad, openai
    finally:
        process.terminate()
        await process.wait()


async def until_served(pentad: Pentad) -> None:
    """Waits until the gateway answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                await pentad.llm.models()
                return
            except PentadError:
                await asyncio.sleep(0.1)


async def test_the_example(gateway: tuple[Pentad, AsyncOpenAI]) -> None:
    """It is listed, asked through both doors, streamed, accounted, and its errors keep their reason."""
    pentad, openai = gateway
    listed = (await pentad.llm.models("canned")).models
    assert [(model.name, model.available, model.embeddings) for model in listed] == [("answers", True, True)]
    answer = await pentad.llm.invoke("What is the answer?", model="canned")
    assert (answer.text, answer.served.provider, answer.usage.cost.micros) == ("forty two", "canned", 0)
    async with pentad.llm.stream("And what is the question?", model="canned/answers") as stream:
        assert [event async for event in stream]
    assert stream.text.strip() == "who knows"
    assert stream.served is not None and stream.served.model == "answers"
    completion = await openai.chat.completions.create(
        model="canned", messages=[{"role": "user", "content": "What is the answer?"}]
    )
    assert completion.choices[0].message.content == "forty two"
    same = [(await pentad.llm.embed("x", model="canned")).vectors[0] for _ in range(2)]
    assert same[0] == same[1]
    batch = await pentad.llm.batch_invoke({"a": "What is the answer?"}, model="canned")
    assert (await pentad.llm.batch_ended(batch.batch_id, 0.1)).succeeded == 1
    assert (await pentad.llm.usage()).total.calls == 6
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("x", model="canned/other")
    assert caught.value.reason == "MODEL_NOT_FOUND"
