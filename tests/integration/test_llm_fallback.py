"""Aliases over several deployments: who is asked first, who next, and who is left alone."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from pentad_client import PentadError
from pentad_common.errors import Code
from pentad_common.models import LlmCall
from tests.fixtures.deployments import Deployments
from tests.fixtures.llm_gateway import House
from tests.fixtures.upstream import Answer, Cut, Hang, Status, Upstream

TOO_LONG = Status(400, {"error": {"message": "too long", "code": "context_length_exceeded"}})
FILTERED = Status(400, {"error": {"message": "no", "code": "content_filter"}})
REFUSED_KEY = Status(401, {"error": {"message": "no", "code": "invalid_api_key"}})


async def fails(deployments: Deployments, **request: Any) -> PentadError:
    """The error of a call that must fail."""
    with pytest.raises(PentadError) as caught:
        await deployments.pentad.llm.invoke("hi", **request)
    return caught.value


async def streamed(deployments: Deployments) -> str:
    """Who served a streamed answer."""
    async with deployments.pentad.llm.stream("hi", model="pair") as stream:
        async for _ in stream:
            pass
    return stream.served.provider if stream.served else ""


def circuit(provider: str) -> float | None:
    """The circuit's state in the metrics."""
    labels = {"gen_ai_provider_name": provider, "gen_ai_request_model": "m"}
    return REGISTRY.get_sample_value("pentad_llm_circuit_state", labels)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Status(500), "PROVIDER_UNAVAILABLE"),
        (Status(429), "RATE_LIMITED"),
        (REFUSED_KEY, "PROVIDER_AUTHENTICATION"),
        (Status(402), "BUDGET_EXCEEDED"),
        (Status(403), "PROVIDER_PERMISSION"),
        (Status(404), "MODEL_NOT_FOUND"),
        (Status(408), "PROVIDER_TIMEOUT"),
        (Status(200, b"<html>"), "PROVIDER_ERROR"),
        (Cut(0), "PROVIDER_UNAVAILABLE"),
    ],
    ids=repr,
)
async def test_another_deployment_answers(deployments: Deployments, behaviour: Any, reason: str) -> None:
    """Where one deployment cannot answer the next does, whole and streamed; what was asked for, what served
    and what failed are all told and kept."""
    deployments.will(behaviour, behaviour)
    answer = await deployments.pentad.llm.invoke("hi", model="pair")
    served = answer.served
    assert (served.requested_model, served.provider, served.attempts) == ("pair", "b", 2)
    assert [(item.provider, item.model, item.reason) for item in served.failed_models] == [("a", "m", reason)]
    async with deployments.pentad.llm.stream("hi", model="pair") as stream:
        assert [event async for event in stream]
    assert stream.text == "one two three four"
    assert stream.served is not None and stream.served.provider == "b"
    await deployments.pentad.llm.usage()
    query = select(LlmCall).where(LlmCall.tenant_id == deployments.house.tenant)
    kept = await deployments.house.database.read(
        lambda session: list(session.scalars(query)), tenant=deployments.house.tenant
    )
    assert {(row.requested_model, row.provider, row.status) for row in kept} == {("pair", "b", "OK")}


async def test_weights(deployments: Deployments) -> None:
    """Deployments are asked as often as their weights say."""
    pair = [{"model": "a/m", "weight": 3}, {"model": "b/m", "weight": 1}]
    await deployments.changed(aliases={"pair": pair, "other": "b/m"})
    await asyncio.gather(*(deployments.pentad.llm.invoke("hi") for _ in range(120)))
    first, second = deployments.asked()
    assert first + second == 120 and 70 <= first <= 110
    assert (await deployments.pentad.llm.invoke("hi", model="other")).served.provider == "b"


async def test_no_other_is_asked_for_a_bad_request(deployments: Deployments) -> None:
    """A request that one provider finds wrong is wrong; the next is not asked."""
    deployments.will(Status(400))
    error = await fails(deployments, model="pair")
    assert (error.reason, error.metadata["class"]) == ("INVALID_REQUEST", "invalid_request")
    assert deployments.asked() == (1, 0)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(Status(503), "general"), (TOO_LONG, "context_window"), (FILTERED, "content_policy")],
)
@pytest.mark.parametrize("key", ["a/m", "*", "alias"])
async def test_chains_by_class(deployments: Deployments, behaviour: Any, kind: str, key: str) -> None:
    """Each class of error has its chain, of an alias, a model or all; the other classes' chains are not
    taken."""
    await deployments.changed(aliases={"alias": "a/m", "pair": "a/m"}, fallbacks={key: {kind: ["b/m"]}})
    asked = "alias" if key == "alias" else "a/m"
    for other in (Status(503), TOO_LONG, FILTERED):
        deployments.will(other)
        if other == behaviour:
            answer = await deployments.pentad.llm.invoke("hi", model=asked)
            assert (answer.served.provider, answer.served.model) == ("b", "served-model")
        else:
            assert (await fails(deployments, model=asked)).metadata["provider"] == "a"
    assert deployments.asked() == (3, 1)


async def test_never_after_the_first_token(deployments: Deployments) -> None:
    """An answer that was cut after its first token is not begun again anywhere; its tokens are told."""
    deployments.will(Cut(2))
    stream = deployments.pentad.llm.stream("hi", model="pair")
    with pytest.raises(PentadError) as caught:
        async for _ in stream:
            pass
    assert (stream.text, caught.value.reason) == ("one two", "PROVIDER_UNAVAILABLE")
    assert stream.usage is not None and stream.usage.output_tokens >= 2
    assert deployments.asked() == (1, 0)


async def test_nobody_can_answer(deployments: Deployments) -> None:
    """When all fail the caller hears of all of them, and what the first said."""
    deployments.will(Status(429))
    deployments.b.will(Status(500))
    error = await fails(deployments, model="pair")
    assert (error.reason, error.metadata["provider"], error.metadata["attempts"]) == (
        "RATE_LIMITED",
        "a",
        "2",
    )
    assert error.metadata["failed_models"] == "a/m: RATE_LIMITED, b/m: PROVIDER_UNAVAILABLE"


async def test_circuit_opens_and_closes(deployments: Deployments) -> None:
    """After failures in a row a deployment is left alone for a while; then one call tries it, and when that
    goes well all do."""
    deployments.will(*[Status(503)] * 3)
    for _ in range(3):
        await deployments.pentad.llm.invoke("hi", model="pair")
    assert circuit("a") == 2
    skipped = await deployments.pentad.llm.invoke("hi", model="pair")
    assert [item.reason for item in skipped.served.failed_models] == ["CIRCUIT_OPEN"]
    assert (skipped.served.attempts, deployments.asked()) == (1, (3, 4))
    listed = await deployments.pentad.llm.models()
    states = {item.model: (item.available, item.unavailable_reason) for item in listed.aliases[0].deployments}
    assert not states["a/m"][0] and "circuit is open" in states["a/m"][1] and states["b/m"][0]
    await asyncio.sleep(0.35)
    assert circuit("a") == 1
    deployments.will(Answer("slow probe", pause=0.2))
    assert sorted(await asyncio.gather(*(streamed(deployments) for _ in range(5)))).count("a") == 1
    assert circuit("a") == 0
    assert (await deployments.pentad.llm.invoke("hi", model="pair")).served.provider == "a"


async def test_failed_probe_opens_again_for_longer(deployments: Deployments) -> None:
    """A probe that fails leaves the deployment alone again, for twice as long."""
    deployments.will(*[Status(503)] * 4)
    for _ in range(3):
        await fails(deployments, model="a/m")
    await asyncio.sleep(0.35)
    await fails(deployments, model="a/m")
    error = await fails(deployments, model="a/m")
    assert len(deployments.a.requests) == 4
    assert (error.reason, error.metadata["provider_code"]) == ("PROVIDER_UNAVAILABLE", "circuit_open")
    assert error.metadata["opened_by"] == "PROVIDER_UNAVAILABLE"
    await asyncio.sleep(0.35)
    assert circuit("a") == 2


async def test_all_open_names_the_soonest(deployments: Deployments) -> None:
    """With all circuits open nobody is asked, and the caller is told when the first may be."""
    await deployments.changed(breaker={"failures": 1, "open_seconds": 30})
    deployments.will(Status(503))
    deployments.b.will(Status(429, headers={"retry-after": "12"}))
    await fails(deployments, model="pair")
    error = await fails(deployments, model="pair")
    assert deployments.asked() == (1, 1)
    assert error.retry_after is not None and 11 <= error.retry_after <= 12.1
    assert error.metadata["failed_models"] == "a/m: CIRCUIT_OPEN, b/m: CIRCUIT_OPEN"


async def test_retry_after_is_a_cooldown(deployments: Deployments) -> None:
    """Who says how long to wait is left alone for as long, while another answers, and no probe is needed
    after it."""
    deployments.will(Status(429, headers={"retry-after": "0.5"}))
    for expected in ("b", "b"):
        assert (await deployments.pentad.llm.invoke("hi", model="pair")).served.provider == expected
    assert deployments.asked() == (1, 2)
    await asyncio.sleep(0.55)
    answers = await asyncio.gather(*(deployments.pentad.llm.invoke("hi", model="pair") for _ in range(4)))
    assert {answer.served.provider for answer in answers} == {"a"}


async def test_refused_key_is_passed_over(deployments: Deployments) -> None:
    """A deployment whose key is refused is passed over while there is another; alone it is asked, for nothing
    else tells that the key is good again."""
    deployments.will(REFUSED_KEY, REFUSED_KEY)
    for _ in range(3):
        assert (await deployments.pentad.llm.invoke("hi", model="pair")).served.provider == "b"
    assert deployments.asked() == (1, 3)
    assert (await fails(deployments, model="a/m")).reason == "PROVIDER_AUTHENTICATION"
    assert (await deployments.pentad.llm.invoke("hi", model="a/m")).served.provider == "a"
    assert (await deployments.pentad.llm.invoke("hi", model="pair")).served.provider == "a"


async def test_share_of_failures_opens(deployments: Deployments) -> None:
    """Failures that are not in a row open the circuit too, when they are too many of the last calls."""
    rules = {"failures": 100, "ratio": 0.5, "window_calls": 6, "open_seconds": 30}
    await deployments.changed(breaker=rules, aliases={"pair": ["a/m"]})
    for status in (503, 0, 503, 0, 503):
        deployments.will(Status(503) if status else Answer())
        if status:
            await fails(deployments, model="a/m")
        else:
            await deployments.pentad.llm.invoke("hi", model="a/m")
    assert circuit("a") == 0
    await deployments.pentad.llm.invoke("hi", model="a/m")
    deployments.will(Status(503))
    await fails(deployments, model="a/m")
    assert circuit("a") == 2


async def test_bad_requests_open_nothing(deployments: Deployments) -> None:
    """What is wrong with a request is no failure of the deployment: one caller cannot close it to others."""
    deployments.will(*[Status(400), TOO_LONG, FILTERED, Status(404)] * 3)
    for _ in range(12):
        await fails(deployments, model="a/m")
    assert circuit("a") == 0


async def test_time_limits_of_a_deployment(deployments: Deployments) -> None:
    """A deployment's own time limits are its own; who is too slow is followed by the next."""
    slow = deployments.catalog["providers"]["a"] | {"time_limits": {"first_token": 0.2, "total": 0.3}}
    await deployments.changed(
        providers=deployments.catalog["providers"] | {"a": slow}, aliases={"pair": ["a/m", "b/m"], "x": "a/m"}
    )
    deployments.will(Hang(), Hang(), Hang(), Hang())
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await fails(deployments, model="a/m")).metadata["phase"] == "the_answer"
    stream = deployments.pentad.llm.stream("hi", model="a/m")
    with pytest.raises(PentadError) as caught:
        async for _ in stream:
            pass
    assert caught.value.metadata["phase"] == "the_first_token"
    assert loop.time() - started < 3


async def test_connecting_has_a_limit_of_its_own(deployments: Deployments) -> None:
    """A server that takes no connection is given up long before one that thinks, and the next is asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(3):  # the places of those who wait to be let in
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        stuck = deployments.catalog["providers"]["a"] | {"base_url": url, "time_limits": {"connect": 0.3}}
        await deployments.changed(providers=deployments.catalog["providers"] | {"a": stuck})
        answer = await deployments.pentad.llm.invoke("hi", model="pair", timeout=10)
    assert [item.reason for item in answer.served.failed_models] == ["PROVIDER_TIMEOUT"]
    assert answer.served.latency.ToMilliseconds() < 4000


async def test_deadline_ends_the_chain(deployments: Deployments) -> None:
    """The caller's deadline bounds all of it: nobody is asked for a caller that is gone."""
    deployments.will(Hang())
    error = await fails(deployments, model="pair", timeout=0.4)
    assert error.code is Code.DEADLINE_EXCEEDED
    await asyncio.sleep(0.2)
    assert deployments.asked() == (1, 0)
    await asyncio.wait_for(deployments.a.requests[0].closed.wait(), 1)


async def test_what_one_cannot_another_can(deployments: Deployments) -> None:
    """A deployment that cannot take the request is passed over for one that can; if none can, that is the
    error."""
    from pentad.llm.v1 import llm_pb2

    providers = deployments.catalog["providers"]
    providers["a"]["models"]["m"]["tools"] = False
    await deployments.changed(providers=providers)
    tool = llm_pb2.Tool(name="t")
    answer = await deployments.pentad.llm.invoke("hi", model="pair", tools=[tool])
    assert (answer.served.provider, deployments.asked()) == ("b", (0, 1))
    assert (await fails(deployments, model="a/m", tools=[tool])).reason == "INVALID_REQUEST"


async def test_callers_of_one_deployment_wait_out_its_limit(upstream: Upstream, house: House) -> None:
    """With nobody else to ask, calls under way wait as long as the provider says, and then go on."""
    upstream.will(*[Status(429, headers={"retry-after": "0.3"})] * 5)
    pentad = await house.client()
    answers = await asyncio.gather(*(pentad.llm.invoke("hi", model="openai/m") for _ in range(5)))
    assert [answer.served.attempts for answer in answers] == [2] * 5


async def test_an_open_circuit_ends_the_attempts(upstream: Upstream, house: House) -> None:
    """A call whose failure opened the circuit does not try again, and its error is what the provider said."""
    upstream.will(*[Status(503)] * 12)
    pentad = await house.client()
    told = []
    for _ in range(5):
        with pytest.raises(PentadError) as caught:
            await pentad.llm.invoke("hi", model="openai/m")
        told.append((caught.value.metadata["attempts"], caught.value.metadata["provider_code"]))
    assert told == [*[("3", "some_error")] * 3, ("1", "some_error"), ("0", "circuit_open")]
    assert len(upstream.requests) == 10
