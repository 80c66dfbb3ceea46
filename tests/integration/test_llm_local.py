"""The gateway with the real local model. Started once for all of these tests: they share a loop and a
process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad, PentadError
from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.models import Tenant
from pentad_common.schema import upgrade
from tests.fixtures.llm_gateway import House, serving
from tests.fixtures.process_tree import children, command, listening

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLOUR = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A gateway without any key."""
    url = f"sqlite:///{tmp_path_factory.mktemp('local') / 'pentad.db'}"
    upgrade(url)
    database, tenant = Database(url), new_id()
    database.run_sync(lambda session: session.add(Tenant(id=tenant, name="local")), tenant=tenant)
    unset = {"openai_api_key": None, "anthropic_api_key": None, "llm_compatible_base_url": ""}
    try:
        async with serving(database, tenant, port=0, llm_default_model="", **unset) as started:
            yield started
    finally:
        database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pentad(house: House) -> Pentad:
    """A client with an admin's key."""
    return await house.client()


def model_processes() -> list[int]:
    """The local models that this process has started."""
    return [pid for pid in children(os.getpid()) if "pentad_llm_gateway.local_server" in command(pid)]


async def test_first_callers_share_one_start(pentad: Pentad) -> None:
    """Callers that come while the model is not there yet wait for one start and are all answered."""
    answers = await asyncio.gather(
        *(pentad.llm.invoke(f"Say {word}.", max_output_tokens=4, seed=1) for word in ("one", "two", "three"))
    )
    assert len(model_processes()) == 1
    assert all(answer.text and answer.served.model == "smollm2-135m-instruct" for answer in answers)
    assert all(answer.usage.HasField("cost") and answer.usage.cost.micros == 0 for answer in answers)


async def test_default_is_the_local_model(pentad: Pentad) -> None:
    """Without keys the local model is the default, and the others say which variable they lack."""
    listed = await pentad.llm.models()
    assert listed.default_model == "local/smollm2-135m-instruct"
    reasons = {model.provider: model.unavailable_reason for model in listed.models}
    assert reasons["local"] == "" and "ANTHROPIC_API_KEY" in reasons["anthropic"]
    (local,) = (await pentad.llm.models("local")).models
    assert (local.available, local.context_window, local.tools) == (True, 4096, False)
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model="anthropic")
    assert (caught.value.reason, caught.value.code.name) == ("PROVIDER_AUTHENTICATION", "FAILED_PRECONDITION")


async def test_stream_is_the_answer(pentad: Pentad) -> None:
    """With the same seed a stream says what a unary call says, and its usage has the same tokens."""
    request: dict[str, Any] = {"max_output_tokens": 16, "seed": 7, "temperature": 0}
    whole = await pentad.llm.invoke("Name three fruits.", **request)
    async with pentad.llm.stream("Name three fruits.", **request) as stream:
        events = [event async for event in stream]
    assert stream.text == whole.text
    assert stream.usage is not None and stream.usage.output_tokens == whole.usage.output_tokens
    assert isinstance(events[-1], llm_pb2.End) and len(events) > 5


async def test_keeps_to_a_schema(pentad: Pentad) -> None:
    """An answer asked for by JSON Schema is JSON that fits it."""
    answer = await pentad.llm.invoke("What colour is grass?", json_schema=COLOUR)
    assert answer.json()["colour"] in ("red", "green")


async def test_counts_exactly(pentad: Pentad) -> None:
    """CountTokens says what a call then reports as its input."""
    counted = await pentad.llm.count_tokens("How long is this?", system="Be brief.")
    answer = await pentad.llm.invoke("How long is this?", system="Be brief.", max_output_tokens=1)
    assert (counted.input_tokens, counted.estimated) == (answer.usage.input_tokens, False)
    assert answer.finish_reason == "length"


async def test_context_window(pentad: Pentad) -> None:
    """An input that is too long is refused with the counts, not cut silently."""
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("word " * 5000)
    assert (caught.value.reason, caught.value.retry_after) == ("CONTEXT_WINDOW_EXCEEDED", None)
    assert caught.value.metadata["context_window"] == "4096"
    assert int(caught.value.metadata["input_tokens"]) > 5000


async def test_refuses_what_it_cannot(pentad: Pentad) -> None:
    """Tools, pictures, other models and foreign extras are refused with the field at fault."""
    tool = llm_pb2.Tool(name="weather")
    picture = llm_pb2.Message(
        role="MESSAGE_ROLE_USER", parts=[llm_pb2.MessagePart(image=llm_pb2.Image(data=b"png"))]
    )
    requests: list[tuple[dict[str, Any], str]] = [
        ({"tools": [tool]}, "completion.tools"),
        ({"messages": [picture]}, "completion.messages"),
        ({"extras": {"slot_id": 1}}, "completion.extras.slot_id"),
    ]
    for request, field in requests:
        with pytest.raises(PentadError) as caught:
            await pentad.llm.invoke("hi", **request)
        assert (caught.value.reason, caught.value.violations[0][0]) == ("INVALID_REQUEST", field)
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model="local/other")
    assert caught.value.reason == "MODEL_NOT_FOUND"


async def test_cancel_frees_the_model(pentad: Pentad) -> None:
    """Callers that leave give their places back: more of them than there are places do not block the next."""
    for _ in range(4):
        async with pentad.llm.stream("Tell a very long story.", max_output_tokens=2000) as stream:
            await anext(aiter(stream))
    answer = await pentad.llm.invoke("Say hi.", max_output_tokens=3, timeout=20)
    assert answer.text


async def test_died_process_is_started_again(pentad: Pentad) -> None:
    """When the model's process is killed, the next call is served by a new one; a stream that it cut says
    so."""
    (process,) = model_processes()
    stream = pentad.llm.stream("Tell a very long story.", max_output_tokens=2000)
    reading = aiter(stream)
    await anext(reading)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(PentadError) as caught:
        async for _ in reading:
            pass
    assert caught.value.reason == "PROVIDER_UNAVAILABLE"
    assert (await pentad.llm.invoke("Say hi.", max_output_tokens=3)).text
    assert model_processes() != [process]


async def test_the_key_is_not_to_be_seen(pentad: Pentad) -> None:
    """The model's process listens on the loopback interface alone, wants a key, and shows it to nobody."""
    import httpx2

    await pentad.llm.count_tokens("hi")
    (process,) = model_processes()
    ((host, port),) = listening(process)
    assert host == "127.0.0.1"
    url = f"http://{host}:{port}"
    async with httpx2.AsyncClient(trust_env=False) as http:
        request = {"messages": [{"role": "user", "content": "hi"}]}
        answer = await http.post(f"{url}/v1/chat/completions", json=request)
        preflight = await http.options(f"{url}/health", headers={"origin": "http://evil.example"})
    assert answer.status_code == 401
    assert preflight.headers.get("access-control-allow-origin", "") == ""
    assert len(command(process)) == 3


async def test_idle_process_is_stopped(house: House, tmp_path: Path) -> None:
    """A model that nobody asks is stopped, and started again for the next caller."""
    before = set(model_processes())
    unset = {"openai_api_key": None, "anthropic_api_key": None, "llm_compatible_base_url": ""}
    async with serving(house.database, house.tenant, port=0, llm_local_idle_seconds=0.2, **unset) as other:
        pentad = await other.client()
        for _ in range(2):
            await pentad.llm.count_tokens("hi", model="local")
            async with asyncio.timeout(10):
                while set(model_processes()) != before:  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(0.05)


async def test_stop_is_clean(house: House) -> None:
    """A gateway that stops leaves no process of the model behind."""
    before = set(model_processes())
    unset = {"openai_api_key": None, "anthropic_api_key": None, "llm_compatible_base_url": ""}
    async with serving(house.database, house.tenant, port=0, **unset) as other:
        await (await other.client()).llm.count_tokens("hi", model="local")
        assert len(model_processes()) == len(before) + 1
    assert set(model_processes()) == before


async def test_vectors_from_the_same_process(pentad: Pentad) -> None:
    """Vectors come from the model's own process, while it answers; a text that is too long is refused."""
    before = await pentad.llm.invoke("Say one.", max_output_tokens=4, seed=1, temperature=0)
    running = model_processes()
    texts = ["A cat sleeps.", "A cat is asleep.", "x " * 1000]
    embedded, answer = await asyncio.gather(
        pentad.llm.embed(texts), pentad.llm.invoke("Say one.", max_output_tokens=4, seed=1, temperature=0)
    )
    assert [len(vector) for vector in embedded.vectors] == [576] * 3
    assert embedded.usage.input_tokens > 1000
    near, far = (
        sum(a * b for a, b in zip(embedded.vectors[0], other, strict=True)) for other in embedded.vectors[1:]
    )
    assert near > far
    assert answer.text == before.text
    assert model_processes() == running
    with pytest.raises(PentadError) as caught:
        await pentad.llm.embed("word " * 6000)
    assert caught.value.reason == "CONTEXT_WINDOW_EXCEEDED"
    with pytest.raises(PentadError) as caught:
        await pentad.llm.embed("x", dimensions=7)
    assert caught.value.reason == "INVALID_REQUEST"
