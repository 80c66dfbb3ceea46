"""Who may call what."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sqlalchemy import select

from pentad.bus.v1 import bus_pb2
from pentad.context.v1 import context_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_client.envelope import enveloped
from pentad_client.errors import InvalidArgument, PentadError, PermissionDenied, Unauthenticated, Unavailable
from pentad_common.clock import utcnow
from pentad_common.models import AuditEvent, Tenant
from tests.unit.common.samples import TENANT, House, address

GET = context_pb2.GetRequest(address=address("x"))
HELLO = bus_pb2.ConnectRequest(hello=bus_pb2.Hello(agent="writer"))


async def _get(house: House, key: str) -> None:
    await house.context_stub(key).Get(GET)


async def _watch(house: House, key: str) -> None:
    await house.context_stub(key).Watch(context_pb2.WatchRequest()).read()


async def _upload(house: House, key: str) -> None:
    try:
        call = house.orchestrator_stub(key).PutArtifact()
        await call.write(orchestrator_pb2.PutArtifactRequest(data=b"x"))
        await call.done_writing()
        await call
    except Unavailable as error:
        if error.reason != "CALL_CUT_OFF":
            raise
        await _upload(house, key)  # the refusal came while the request was being written: gRPC loses why


async def _connect(house: House, key: str) -> None:
    call = house.bus_stub(key).Connect()
    await call.write(HELLO)
    await call.read()


KINDS = pytest.mark.parametrize("call", [_get, _watch, _upload, _connect])


@KINDS
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "API_KEY_MISSING"),
        ("nonsense", "API_KEY_INVALID"),
        ("pentad_aaaaaaaaaaaa_" + "x" * 43, "API_KEY_INVALID"),
    ],
)
async def test_a_call_without_a_good_key_is_refused(house: House, call: Any, key: str, reason: str) -> None:
    """Every kind of RPC refuses a missing, malformed or unknown key with its reason."""
    with pytest.raises(Unauthenticated) as caught:
        await call(house, key)
    assert caught.value.reason == reason


@KINDS
async def test_a_wrong_secret_is_refused(house: House, call: Any) -> None:
    """A known key id with another secret is as invalid as an unknown one."""
    good = await house.key("admin")
    with pytest.raises(Unauthenticated) as caught:
        await call(house, good[:-4] + "AAAA")
    assert caught.value.reason == "API_KEY_INVALID"


@KINDS
async def test_ended_keys_are_refused(house: House, call: Any) -> None:
    """A revoked key and an expired one are refused, each with its own reason."""
    revoked = await house.key("client")
    await house.keys.revoke(TENANT, revoked.split("_")[1])
    expired = await house.key("client", expire_time=utcnow() + timedelta(milliseconds=30))
    await asyncio.sleep(0.04)
    for key, reason in ((revoked, "API_KEY_REVOKED"), (expired, "API_KEY_EXPIRED")):
        with pytest.raises(Unauthenticated) as caught:
            await call(house, key)
        assert caught.value.reason == reason


async def test_a_good_key_names_the_tenant(house: House) -> None:
    """The handler sees the tenant, key and role that belong to the key."""
    key = await house.key("client")
    await house.context_stub(key).Get(GET)
    call = house.context.calls[-1]
    assert (call.tenant_id, call.key_id, call.role) == (TENANT, key.split("_")[1], "client")


async def test_a_revoked_key_stops_working_within_a_second(house: House) -> None:
    """Calls with a key that was good a moment ago are refused at most a second after it is revoked."""
    key = await house.key("client")
    stub = house.context_stub(key)
    await stub.Get(GET)
    await house.keys.revoke(TENANT, key.split("_")[1])
    revoked = time.monotonic()
    with pytest.raises(Unauthenticated) as caught:
        while True:
            await stub.Get(GET)
            await asyncio.sleep(0.02)
    assert caught.value.reason == "API_KEY_REVOKED"
    assert time.monotonic() - revoked < 1.0


@pytest.mark.parametrize("prefix", ["", "flood"])
async def test_an_open_stream_ends_when_its_key_is_revoked(house: House, prefix: str) -> None:
    """A stream, idle or waiting for a slow reader, ends with API_KEY_REVOKED within a second."""
    key = await house.key("client")
    stream = house.context_stub(key).Watch(context_pb2.WatchRequest(prefix=address(prefix)))
    await stream.read()
    await house.keys.revoke(TENANT, key.split("_")[1])
    revoked = time.monotonic()
    if prefix == "flood":
        await asyncio.sleep(0.9)  # the server's writes are stuck meanwhile
    with pytest.raises(Unauthenticated) as caught:
        async for _ in stream:
            pass
    assert caught.value.reason == "API_KEY_REVOKED"
    assert time.monotonic() - revoked < 1.5


async def test_an_open_connection_ends_when_its_key_expires(house: House) -> None:
    """A stream both ways ends with API_KEY_EXPIRED soon after its key's time."""
    key = await house.key("admin", expire_time=utcnow() + timedelta(seconds=0.4))
    call = house.bus_stub(key).Connect()
    await call.write(HELLO)
    assert (await call.read()).welcome.instance == "writer"
    with pytest.raises(Unauthenticated) as caught:
        await call.read()
    assert caught.value.reason == "API_KEY_EXPIRED"
    with pytest.raises(Unauthenticated):
        await call.write(HELLO)


async def test_health_needs_no_key(house: House) -> None:
    """Probes may ask without a key, for the server and for each service."""
    async with grpc.aio.insecure_channel(house.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "pentad.context.v1.ContextService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_needs_a_key(house: House) -> None:
    """The contract is shown to those with a key alone."""
    stub = house.stub(reflection_pb2_grpc.ServerReflectionStub, reflection_pb2.DESCRIPTOR)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo()
    with pytest.raises(Unauthenticated):
        await call.write(request)
        await call.read()
    stub = house.stub(reflection_pb2_grpc.ServerReflectionStub, reflection_pb2.DESCRIPTOR, await house.key())
    call = stub.ServerReflectionInfo()
    await call.write(request)
    found = {service.name for service in (await call.read()).list_services_response.service}
    assert {"pentad.context.v1.ContextService", "pentad.bus.v1.BusService"} <= found
    await call.done_writing()


async def test_a_role_may_call_what_the_contract_allows(house: House) -> None:
    """A role that the method does not name is refused, and told which ones it takes."""
    stub = house.bus_stub(await house.key("agent", "writer"))
    with pytest.raises(PermissionDenied) as caught:
        await stub.ListMessages(bus_pb2.ListMessagesRequest())
    assert caught.value.reason == "ROLE_NOT_ALLOWED"
    assert caught.value.metadata["allowed"] == "admin, client, service"


@pytest.mark.parametrize(
    ("role", "grants", "header", "agent"),
    [
        ("agent", ["writer"], None, "writer"),
        ("agent", ["writer"], "writer", "writer"),
        ("agent", ["writer", "critic"], None, None),
        ("agent", ["*"], "critic", "critic"),
        ("agent", ["*"], None, None),
        ("service", [], "pentad.orchestrator", "pentad.orchestrator"),
        ("client", [], "writer", None),
        ("admin", [], "writer", None),
    ],
)
async def test_the_key_says_which_agent_calls(
    house: House, role: str, grants: list[str], header: str | None, agent: str | None
) -> None:
    """The agent is the one in the metadata if the key grants it, or the only one that it grants."""
    key = await house.key(role, *grants)
    with enveloped(agent=header):
        await house.context_stub(key).Get(GET)
    assert house.context.calls[-1].agent == agent


@pytest.mark.parametrize(
    ("grants", "header"), [(["writer"], "critic"), (["*"], "pentad.orchestrator"), (["*"], "Big Agent")]
)
async def test_an_agent_that_the_key_does_not_grant_is_refused(
    house: House, grants: list[str], header: str
) -> None:
    """Another's name, a reserved one and an impossible one are refused in the metadata."""
    stub = house.context_stub(await house.key("agent", *grants))
    with pytest.raises(PentadError) as caught:
        await stub.Get(GET, metadata=[("pentad-agent", header)])
    assert caught.value.reason == ("AGENT_NAME_INVALID" if " " in header else "AGENT_NOT_GRANTED")
    assert isinstance(caught.value, InvalidArgument if " " in header else PermissionDenied)


@pytest.mark.parametrize(("role", "allowed"), [("admin", True), ("client", False), ("service", True)])
async def test_a_hello_names_an_agent_that_the_key_grants(house: House, role: str, allowed: bool) -> None:
    """An admin and a service may connect as any agent, a client as none."""
    call = house.bus_stub(await house.key(role)).Connect()
    await call.write(HELLO)
    if allowed:
        assert (await call.read()).welcome.instance == "writer"
        await call.done_writing()
    else:
        with pytest.raises(PermissionDenied) as caught:
            await call.read()
        assert caught.value.reason == "AGENT_NOT_GRANTED"


async def test_a_service_acts_for_another_tenant(house: House) -> None:
    """From role service, pentad-on-behalf-of names the tenant, which must exist."""
    await house.database.run(lambda session: session.add(Tenant(id="other", name="other")), tenant="other")
    stub = house.context_stub(await house.key("service"))
    with enveloped(on_behalf_of="other"):
        await stub.Get(GET)
    assert house.context.calls[-1].tenant_id == "other"
    with pytest.raises(PermissionDenied) as caught, enveloped(on_behalf_of="nobody"):
        await stub.Get(GET)
    assert caught.value.reason == "TENANT_UNKNOWN"


async def test_anyone_else_who_claims_a_tenant_is_audited(house: House) -> None:
    """From other roles pentad-on-behalf-of changes nothing and leaves a row."""
    key = await house.key("admin")
    with enveloped(on_behalf_of="other"):
        await house.context_stub(key).Get(GET)
    assert house.context.calls[-1].tenant_id == TENANT
    query = select(AuditEvent).where(AuditEvent.action == "on_behalf_of.ignored")
    (event,) = await house.database.read(lambda session: list(session.scalars(query)), tenant=TENANT)
    assert event.key_id == key.split("_")[1]
    assert event.detail == {"claimed": "other", "method": "/pentad.context.v1.ContextService/Get"}


async def test_refused_calls_are_noted_without_the_key(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log says that keys were refused, at most once a second, and never which."""
    secret = "pentad_aaaaaaaaaaaa_" + "Q" * 43
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await house.context_stub(secret).Get(GET)
    logged = capfd.readouterr().err
    assert 1 <= logged.count('"event": "unauthenticated"') <= 3
    assert "QQQQ" not in logged
