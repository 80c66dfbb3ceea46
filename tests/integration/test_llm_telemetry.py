"""Spans and metrics of calls to models, as a real collector receives them."""

from __future__ import annotations

import asyncio
import sys
from concurrent import futures
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from pentad.llm.v1 import llm_pb2, llm_pb2_grpc
from pentad_client import enveloped
from pentad_client.errors import PentadError
from pentad_client.llm import completion
from pentad_common import conventions as names
from pentad_common import otel
from pentad_common.errors import StartupError
from tests.fixtures.llm_gateway import PROVIDERS, StartGateway
from tests.fixtures.otlp import Collector
from tests.fixtures.upstream import Answer, Cut, Hang, Status, Upstream

TRACE, PARENT = "ab" * 16, "cd" * 8
CALLER = f"00-{TRACE}-{PARENT}-01"
SERVER, CLIENT = 2, 3
RPC = "pentad.llm.v1.LlmGatewayService/"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_is_a_span_in_its_callers_trace(
    exporting: Collector, start_gateway: StartGateway, upstream: Upstream, provider: str
) -> None:
    """Caller, gateway, call to the model and the provider's request are one trace, each within the one
    before, with what the conventions say of each."""
    async with start_gateway() as house:
        pentad = await house.client("agent", "writer")
        with enveloped(traceparent=CALLER, run_id="run-1"):
            answer = await pentad.llm.invoke("hi", model=f"{provider}/some-model", max_output_tokens=9)
    [rpc] = exporting.named(f"{RPC}Invoke")
    [chat] = exporting.named("chat some-model")
    assert (rpc.kind, rpc.trace, rpc.parent, rpc.failed) == (SERVER, TRACE, PARENT, False)
    assert (chat.kind, chat.trace, chat.parent, chat.failed) == (CLIENT, TRACE, rpc.id, False)
    assert (rpc.service, rpc.attributes[names.RPC_STATUS]) == ("pentad-llm", "OK")
    assert upstream.requests[0].headers["traceparent"] == f"00-{TRACE}-{chat.id}-01"
    for name, value in {
        names.OPERATION: "chat",
        names.PROVIDER: provider,
        names.REQUEST_MODEL: "some-model",
        names.REQUEST_MAX_TOKENS: 9,
        names.RESPONSE_MODEL: answer.served.model,
        names.RESPONSE_FINISH_REASONS: ["stop"],
        names.INPUT_TOKENS: 11,
        names.OUTPUT_TOKENS: 7,
        names.CONVERSATION: "run-1",
        names.AGENT: "writer",
        names.TENANT: house.tenant,
        names.CALL: answer.served.call_id,
        names.ATTEMPTS: 1,
    }.items():
        assert chat.attributes[name] == value, name


async def test_a_trace_begins_here_where_the_caller_has_none(
    exporting: Collector, start_gateway: StartGateway
) -> None:
    """The span of an RPC without a traceparent has no parent."""
    async with start_gateway() as house:
        key = (await house.client()).config.api_key
        async with grpc.aio.insecure_channel(house.address) as channel:
            stub: Any = llm_pb2_grpc.LlmGatewayServiceStub(channel)
            asked = llm_pb2.InvokeRequest(completion=completion("hi"))
            await stub.Invoke(asked, metadata=[("authorization", f"Bearer {key}")])
    [rpc] = exporting.named(f"{RPC}Invoke")
    [chat] = exporting.named("chat house-model")
    assert (rpc.parent, chat.parent, chat.trace) == ("", rpc.id, rpc.trace)


async def test_failures_say_why(
    exporting: Collector, start_gateway: StartGateway, upstream: Upstream
) -> None:
    """A refused call, one that was tried again, a cut stream and one whose caller left: `error.type` is the
    reason of the taxonomy, and retries are in one span."""
    async with start_gateway() as house:
        pentad = await house.client()
        upstream.will(Status(500), Status(500), Answer(), Status(401), Cut(2), Hang(after=1))
        await pentad.llm.invoke("hi")
        with pytest.raises(PentadError):
            await pentad.llm.invoke("hi")
        with pytest.raises(PentadError):
            async with pentad.llm.stream("hi") as stream:
                assert [event async for event in stream]
        async with pentad.llm.stream("hi") as stream:
            await anext(aiter(stream))
    chats = exporting.named("chat house-model")
    assert [(chat.failed, chat.attributes.get(names.ERROR_TYPE)) for chat in chats] == [
        (False, None),
        (True, "PROVIDER_AUTHENTICATION"),
        (True, "PROVIDER_UNAVAILABLE"),
        (True, "CANCELLED"),
    ]
    assert chats[0].attributes[names.ATTEMPTS] == 3
    assert names.RESPONSE_FIRST_CHUNK in chats[2].attributes


async def test_metrics_by_the_conventions(
    exporting: Collector, start_gateway: StartGateway, upstream: Upstream
) -> None:
    """Tokens, durations, times to the first chunk and of each chunk, and the RPCs themselves."""
    async with start_gateway() as house:
        pentad = await house.client()
        await pentad.llm.invoke("hi")
        upstream.will(Answer(pause=0.01))
        async with pentad.llm.stream("hi") as stream:
            assert [event async for event in stream]
        upstream.will(Status(404))
        with pytest.raises(PentadError):
            await pentad.llm.invoke("hi")
    points = exporting.points
    about = {names.OPERATION: "chat", names.PROVIDER: "openai-compatible", names.REQUEST_MODEL: "house-model"}
    usage = {point[names.TOKEN_TYPE]: total for point, _, total in points[names.TOKEN_USAGE.name]}
    assert usage == {"input": 22, "output": 14}
    durations = {
        point.get(names.ERROR_TYPE): count for point, count, _ in points[names.OPERATION_DURATION.name]
    }
    assert durations == {None: 2, "MODEL_NOT_FOUND": 1}
    [(attributes, count, seconds)] = points[names.FIRST_CHUNK.name]
    assert (attributes, count) == (about, 1)
    assert seconds > 0.01
    [(attributes, count, seconds)] = points[names.OUTPUT_CHUNK.name]
    assert (attributes, count) == (about, 3)
    assert seconds > 0.03
    calls = {
        (point[names.RPC_METHOD], point[names.RPC_STATUS]) for point, *_ in points[names.RPC_DURATION.name]
    }
    assert {(f"{RPC}Invoke", "OK"), (f"{RPC}Invoke", "NOT_FOUND")} <= calls
    assert f"{RPC}InvokeStreaming" in {method for method, _ in calls}


async def test_words_are_exported_only_when_asked_for(
    exporting: Collector, start_gateway: StartGateway, upstream: Upstream
) -> None:
    """With the setting, a span has what was asked and what was said; without it, no byte of either."""
    upstream.will(Answer("canary-answer"), Answer("canary-answer"))
    async with start_gateway() as house:
        await (await house.client()).llm.invoke("canary-prompt")
    assert b"canary" not in b"".join(exporting.bodies)
    async with start_gateway(llm_log_words=True) as house:
        pentad = await house.client()
        async with pentad.llm.stream("canary-prompt") as stream:
            assert [event async for event in stream]
    chat = exporting.named("chat house-model")[-1]
    assert "canary-prompt" in chat.attributes[names.INPUT_MESSAGES]
    assert "canary-answer" in chat.attributes[names.OUTPUT_MESSAGES]


async def test_without_a_collector_the_callers_trace_reaches_the_provider(
    start_gateway: StartGateway, upstream: Upstream
) -> None:
    """Nothing of OpenTelemetry's is loaded or needed for that."""
    async with start_gateway() as house:
        pentad = await house.client()
        with enveloped(traceparent=CALLER):
            await pentad.llm.invoke("hi")
    assert upstream.requests[0].headers["traceparent"] == CALLER


async def test_nothing_is_loaded_that_is_not_used() -> None:
    """A gateway without a collector does not import the SDK."""
    code = (
        "import pentad_llm_gateway.__main__, sys; print([m for m in sys.modules if m.startswith('opentel')])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].strip() == b"[]"


async def test_a_collector_that_is_away_hurts_nobody(
    monkeypatch: pytest.MonkeyPatch, start_gateway: StartGateway, collector: Collector
) -> None:
    """Calls are answered as ever, and stopping takes no longer than a few seconds."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with asyncio.timeout(20):
        async with start_gateway() as house:
            assert (await (await house.client()).llm.invoke("hi")).text


async def test_a_protocol_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line that names the variable."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    with pytest.raises(StartupError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        otel.start_exporting("test")


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:
        self._collector.take_spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:
        self._collector.take_metrics(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


async def test_collectors_that_speak_grpc(
    monkeypatch: pytest.MonkeyPatch, start_gateway: StartGateway
) -> None:
    """OTEL_EXPORTER_OTLP_PROTOCOL=grpc, which most collectors take as well."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_traces: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add_metrics: Any = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
    add_traces(_Traces(collector), server)
    add_metrics(_Metrics(collector), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        async with start_gateway() as house:
            await (await house.client()).llm.invoke("hi")
    finally:
        server.stop(None)
    assert [span.name for span in collector.spans] == ["chat house-model", f"{RPC}Invoke"]
    assert names.TOKEN_USAGE.name in collector.points
