"""What the server does around handlers: errors, deadlines, validation, ids, metrics, stopping."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import REGISTRY

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2
from pentad.context.v1 import context_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_client.envelope import deadline_in, enveloped
from pentad_client.errors import (
    Aborted,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PentadError,
    Unavailable,
    Unimplemented,
    from_rpc_error,
)
from pentad_common.db import Database
from pentad_common.errors import StartupError
from pentad_common.server import Server
from pentad_common.settings import ServiceSettings
from tests.unit.common.samples import House, address

WATCH = "/pentad.context.v1.ContextService/Watch"


def get(key: str) -> context_pb2.GetRequest:
    """A request whose key says what happens."""
    return context_pb2.GetRequest(address=address(key))


def watch(key: str) -> context_pb2.WatchRequest:
    """A request whose key says what happens after two answers."""
    return context_pb2.WatchRequest(prefix=address(key))


async def test_a_domain_error_keeps_its_code_and_reason(house: House) -> None:
    """What the domain raises comes out at the client as the same error, retry hint included."""
    stub = house.context_stub(await house.key())
    with pytest.raises(NotFound) as caught:
        await stub.Get(get("missing"))
    assert caught.value.reason == "KEY_NOT_FOUND"
    assert caught.value.metadata == {"key": "missing"}
    with pytest.raises(Aborted) as busy:
        await stub.Get(get("busy"))
    assert busy.value.retry_after == 1.5


async def test_unavailable_is_repeated_only_where_that_can_help(house: House) -> None:
    """UNAVAILABLE is repeated when it says that it is soon over, and otherwise left to the caller."""
    stub = house.context_stub(await house.key())
    with pytest.raises(Unavailable) as caught:
        await stub.Get(get("away"))
    assert caught.value.reason == "PROVIDER_UNAVAILABLE"
    assert len(house.context.calls) == 1
    house.context.calls.clear()
    await stub.Get(get("back soon"))
    assert len(house.context.calls) == 3


async def test_an_error_in_the_middle_of_a_stream(house: House) -> None:
    """What was sent before an error arrives, then the error with its reason."""
    stream = house.context_stub(await house.key()).Watch(watch("missing"))
    seen = []
    with pytest.raises(NotFound) as caught:
        async for answer in stream:
            seen.append(answer.revision)
    assert seen == [1, 2]
    assert caught.value.reason == "KEY_NOT_FOUND"


async def test_a_stream_ends(house: House) -> None:
    """A stream that ends without an error just ends."""
    stream = house.context_stub(await house.key()).Watch(watch("end"))
    assert [answer.revision async for answer in stream] == [1, 2]


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_unexpected_exception_is_internal_and_opaque(
    house: House, streaming: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client gets an id and nothing else; the log has the id and the whole story."""
    stub = house.context_stub(await house.key())
    with pytest.raises(Internal) as caught:
        if streaming:
            async for _ in stub.Watch(watch("broken")):
                pass
        else:
            await stub.Get(get("broken"))
    assert caught.value.reason == "INTERNAL"
    assert "secret plan" not in str(caught.value)
    logged = capfd.readouterr().err
    assert caught.value.metadata["error_id"] in logged
    assert "secret plan of the house" in logged


async def test_every_error_carries_error_info(house: House) -> None:
    """On the wire: one ErrorInfo of domain pentad.dev, and BadRequest with INVALID_ARGUMENT."""
    async with grpc.aio.insecure_channel(house.address) as channel:
        method: Any = channel.unary_unary("/pentad.context.v1.ContextService/Get")
        call = method(
            context_pb2.GetRequest().SerializeToString(),
            metadata=[("authorization", f"Bearer {await house.key()}"), ("pentad-request-id", "mine-7")],
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    trailing = dict(caught.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(bad)
    assert (info.domain, info.reason) == ("pentad.dev", "INVALID_REQUEST")
    assert bad.field_violations[0].field == "address"
    assert trailing["pentad-request-id"] == "mine-7"


async def test_a_request_against_the_rules_is_refused(house: House) -> None:
    """A broken rule of the contract names the field, and the handler does not see the request."""
    stub = house.context_stub(await house.key())
    with pytest.raises(InvalidArgument) as caught:
        await stub.Get(context_pb2.GetRequest(address=address("k" * 600), revision=-1))
    assert [field for field, _ in caught.value.violations] == ["address.key", "revision"]
    assert not house.context.calls


async def test_each_message_of_a_stream_is_validated(house: House) -> None:
    """The second frame of an upload breaks a rule: the call fails with its field."""
    call = house.orchestrator_stub(await house.key()).PutArtifact()
    await call.write(orchestrator_pb2.PutArtifactRequest(data=b"abc"))
    header = orchestrator_pb2.PutArtifactRequest.Header(name="n" * 300)
    await call.write(orchestrator_pb2.PutArtifactRequest(header=header))
    with pytest.raises(InvalidArgument) as caught:
        await call
    assert caught.value.violations[0][0] == "header.name"


async def test_a_stream_of_requests_is_answered(house: House) -> None:
    """An upload without errors gets its one answer."""
    call = house.orchestrator_stub(await house.key()).PutArtifact()
    for _ in range(3):
        await call.write(orchestrator_pb2.PutArtifactRequest(data=b"abc"))
    await call.done_writing()
    assert (await call).artifact.size == 9


async def test_a_hot_path_checks_by_hand(house: House) -> None:
    """Messages of a method that checks by hand reach the handler, whatever the rules say."""
    call = house.bus_stub(await house.key("service")).Connect()
    subscription = bus_pb2.Subscribe(pattern="")
    hello = bus_pb2.Hello(agent="writer", subscriptions=[subscription])
    await call.write(bus_pb2.ConnectRequest(hello=hello))
    assert (await call.read()).welcome.instance == "writer"
    await call.done_writing()


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("/pentad.context.v1.ContextService/Get", "unary_unary"),
        (WATCH, "unary_stream"),
        ("/pentad.orchestrator.v1.OrchestratorService/PutArtifact", "stream_unary"),
        ("/pentad.bus.v1.BusService/Connect", "stream_stream"),
    ],
)
@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x0a\xff\x01"])
async def test_malformed_bytes_are_an_invalid_argument(
    house: House, method: str, kind: str, data: bytes
) -> None:
    """Bytes that are no message are refused as INVALID_ARGUMENT MALFORMED_MESSAGE by every kind of RPC."""
    async with grpc.aio.insecure_channel(house.address) as channel:
        metadata = [("authorization", f"Bearer {await house.key()}")]
        call = getattr(channel, kind)(method)
        requests = data if kind.startswith("unary") else iter([data])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            answer = call(requests, metadata=metadata)
            if kind.endswith("stream"):
                await answer.read()
            else:
                await answer
    error = from_rpc_error(caught.value)
    assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


def test_a_call_that_is_ended_while_it_writes() -> None:
    """What gRPC itself makes of it, without the other side's status, can be tried again."""
    nothing = grpc.aio.Metadata()
    broken = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, "Internal error from Core")
    error = from_rpc_error(broken)
    assert isinstance(error, Unavailable) and error.reason == "CALL_CUT_OFF"


@pytest.mark.parametrize("method", ["/pentad.context.v1.ContextService/Nope", "/no.Service/None"])
async def test_a_method_that_does_not_exist(house: House, method: str) -> None:
    """An unknown method is UNIMPLEMENTED with a reason, and UNAUTHENTICATED without a key."""
    async with grpc.aio.insecure_channel(house.address) as channel:
        for metadata, reason in (
            ([("authorization", f"Bearer {await house.key()}")], "METHOD_NOT_IMPLEMENTED"),
            ([], "API_KEY_MISSING"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await cast(Any, channel.unary_unary(method))(b"", metadata=metadata)
            assert from_rpc_error(caught.value).reason == reason


async def test_a_method_that_nobody_wrote_yet(house: House) -> None:
    """A method of the contract without code is UNIMPLEMENTED with a reason."""
    with pytest.raises(Unimplemented) as caught:
        await house.context_stub(await house.key()).List(context_pb2.ListRequest())
    assert caught.value.reason == "METHOD_NOT_IMPLEMENTED"


async def test_a_message_above_the_limit_is_refused(house: House) -> None:
    """More than 4 MiB does not pass."""
    content = common_pb2.Content(data=bytes(5 * 1024 * 1024))
    request = context_pb2.PutRequest(put=context_pb2.PutOp(address=address("x"), content=content))
    with pytest.raises(PentadError) as caught:
        await house.context_stub(await house.key()).Put(request)
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"


async def test_a_unary_call_has_a_longest_time(house: House) -> None:
    """Without a deadline, the server's own ends the handler and says so."""
    with pytest.raises(DeadlineExceeded) as caught:
        await house.context_stub(await house.key()).Get(get("slow"))
    assert caught.value.metadata == {"seconds": "0.5"}
    assert house.context.cancelled.is_set()


async def test_the_handler_knows_the_deadline(house: House) -> None:
    """The caller's deadline, from its envelope, arrives; the handler ends with it."""
    stub = house.context_stub(await house.key())
    deadline = deadline_in(0.4)
    with enveloped(deadline=deadline):
        await stub.Get(get("x"))
        seen = house.context.calls[-1].deadline
        assert seen is not None and abs(seen - deadline) < 0.1
        with pytest.raises(DeadlineExceeded):
            await stub.Get(get("slow"))
    await asyncio.wait_for(house.context.cancelled.wait(), 1)


async def test_the_envelope_arrives(house: House) -> None:
    """Run, hops, budget, trace and request id of the caller are in the handler's context."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with enveloped(run_id="r1", hops=3, budget={"tokens": 10}, traceparent=trace, request_id="q1"):
        await house.context_stub(await house.key()).Get(get("x"))
    call = house.context.calls[-1]
    assert (call.run_id, call.hops, call.budget, call.traceparent, call.request_id) == (
        "r1",
        3,
        {"tokens": 10},
        trace,
        "q1",
    )


async def test_the_handler_ends_when_the_caller_leaves(house: House) -> None:
    """Cancelling the call cancels the handler."""
    stream = house.context_stub(await house.key()).Watch(watch(""))
    await stream.read()
    await asyncio.sleep(0.2)  # until its write is over and it waits for something to happen
    stream.cancel()
    await asyncio.wait_for(house.context.cancelled.wait(), 10)


async def test_calls_are_counted_by_method_and_code(house: House) -> None:
    """Each call adds one to its method and code, refused ones too; none stays open."""
    labels = {"method": "/pentad.context.v1.ContextService/Get"}

    def counted(code: str) -> float:
        return REGISTRY.get_sample_value("rpc_server_calls_total", {**labels, "code": code}) or 0

    before = counted("OK"), counted("UNAUTHENTICATED")
    await house.context_stub(await house.key()).Get(get("x"))
    with pytest.raises(PentadError):
        await house.context_stub().Get(get("x"))
    assert (counted("OK"), counted("UNAUTHENTICATED")) == (before[0] + 1, before[1] + 1)
    assert REGISTRY.get_sample_value("rpc_server_open_calls", labels) == 0


async def test_a_stop_tells_endless_streams_to_go_elsewhere(house: House) -> None:
    """A watch gets UNAVAILABLE SERVER_DRAINING at once, after the service's own drain."""
    stream = house.context_stub(await house.key()).Watch(watch(""))
    await stream.read()
    drained = []

    async def on_drain() -> None:
        drained.append(True)

    started = time.monotonic()
    await house.server.stop(on_drain, grace=5)
    assert drained and time.monotonic() - started < 2
    with pytest.raises(Unavailable) as caught:
        async for _ in stream:
            pass
    assert caught.value.reason == "SERVER_DRAINING"


async def test_a_port_in_use_is_said(house: House, local_database: Database, sqlite_url: str) -> None:
    """A second server on the same port does not share it: it says which port and what to do."""
    port = int(house.address.rsplit(":", 1)[1])
    server = Server(ServiceSettings(database_url=sqlite_url, port=port), "second", local_database)
    with pytest.raises(StartupError, match=f"port {port} on 127.0.0.1 is in use"):
        await server.start()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tls_cert": "/nowhere.pem"}, "PENTAD_TLS_KEY is not: TLS needs both"),
        ({"tls_cert": "/nowhere.pem", "tls_key": "/nowhere.pem"}, "/nowhere.pem cannot be read"),
        ({"host": "203.0.113.7"}, "port 0 on 203.0.113.7 cannot be opened"),
        ({"host": "no.such.host.invalid"}, "cannot be opened"),
    ],
)
async def test_a_server_that_cannot_start_says_why(
    local_database: Database, sqlite_url: str, settings: dict[str, str], text: str
) -> None:
    """Certificates that are missing and addresses that are not this machine's are told in a sentence."""
    server = Server(ServiceSettings(database_url=sqlite_url, **settings), "sample", local_database)  # type: ignore[arg-type]
    with pytest.raises(StartupError, match=text):
        await server.start()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_another_database_is_refused(url: str) -> None:
    """Only SQLite files and PostgreSQL will do."""
    with pytest.raises(StartupError, match="sqlite:///path"):
        Database(url)
