"""Models, through the gateway.

answer = await pentad.llm.invoke("What is 2 + 2?")           # answer.text, answer.usage, answer.served
answer = await pentad.llm.invoke(messages=[("system", "Be brief."), ("user", "Hello")], model="anthropic")
answer = await pentad.llm.invoke("Name a colour.", json_schema={"type": "object", …})   # answer.json()

async with pentad.llm.stream("Tell me a story.") as stream:
    async for event in stream:           # llm_pb2.Delta …, then one llm_pb2.End
        …
stream.text, stream.usage                # also of an answer that was cut, which raises

vectors = (await pentad.llm.embed(["one text", "another"])).vectors

batch = await pentad.llm.batch_invoke({"a": "Name a colour.", "b": "Name a fish."}, model="anthropic")
batch = await pentad.llm.batch_ended(batch.batch_id)
async for result in pentad.llm.batch_results(batch.batch_id):
    result.custom_id, result.response    # or result.error
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from pentad.common.v1 import common_pb2
from pentad.llm.v1 import llm_pb2, llm_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_client.errors import InvalidArgument, Unavailable, from_proto

TIMEOUT_SECONDS = 600.0
"""Of calls that say nothing else: models take longer than other services."""

MessageLike = llm_pb2.Message | tuple[str, str] | Mapping[str, Any]
"""A message, or `(role, text)`, or `{"role": …, "content": text}`; roles are system, user, assistant and
tool."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `finish_reason`: stop, length, tool_calls, content_filter, or "" where it is not
    known."""

    message: llm_pb2.Message
    finish_reason: str
    usage: common_pb2.Usage
    served: llm_pb2.Served

    @property
    def text(self) -> str:
        """Its words."""
        return "".join(part.text for part in self.message.parts if part.HasField("text"))

    @property
    def reasoning(self) -> str:
        """What the model thought, as far as its provider tells."""
        return "".join(part.reasoning.text for part in self.message.parts if part.HasField("reasoning"))

    @property
    def tool_calls(self) -> list[llm_pb2.ToolCall]:
        """The tools it wants called."""
        return [part.tool_call for part in self.message.parts if part.HasField("tool_call")]

    def json(self) -> Any:
        """The answer as a JSON value. Raises ValueError if it is none, as when `finish_reason` is length."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors, one for each text. `served` is of the last call, where there was more than one."""

    vectors: list[list[float]]
    usage: common_pb2.Usage
    served: llm_pb2.Served


Asked = str | Mapping[str, Any] | llm_pb2.Completion
"""A request of a batch: a prompt, what `completion` takes, or a Completion."""

ENDED = frozenset({llm_pb2.BATCH_STATE_COMPLETED, llm_pb2.BATCH_STATE_FAILED, llm_pb2.BATCH_STATE_CANCELLED})
_TEXTS_A_CALL = 256
_MOST_POLL_SECONDS = 30.0


class AnswerStream:
    """An answer as it is made: iterate over it, once. Leaving the `async with` block early ends the call.

    Iterating raises PentadError when the answer could not begin, or was cut; what came until then stays in
    `text`.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self.text = ""
        self.reasoning = ""
        """What the model thought, as far as its provider tells."""
        self.finish_reason = ""
        self.usage: common_pb2.Usage | None = None
        """What it cost; None until the end."""
        self.served: llm_pb2.Served | None = None

    async def __aenter__(self) -> AnswerStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Ends the call; the model stops. Does nothing after the end."""
        self._call.cancel()

    async def __aiter__(self) -> AsyncIterator[llm_pb2.Delta | llm_pb2.End]:
        """Deltas, then one End."""
        async for response in self._call:
            match response.WhichOneof("frame"):
                case "delta":
                    self.text += response.delta.text
                    self.reasoning += response.delta.reasoning.text
                    yield response.delta
                case "end":
                    self._account(response.end)
                    self.finish_reason = finish_reason(response.end.finish_reason)
                    yield response.end
                    return
                case "failure":
                    self._account(response.failure)
                    raise from_proto(response.failure.error)
        raise Unavailable(
            "STREAM_ENDED", "the gateway ended the answer before it was complete", retry_after=1.0
        )

    def _account(self, end: llm_pb2.End | llm_pb2.Failure) -> None:
        self.usage, self.served = end.usage, end.served


class LlmClient:
    """LlmGatewayService."""

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._stub = channels.stub(config.llm_address, llm_pb2_grpc.LlmGatewayServiceStub, llm_pb2.DESCRIPTOR)

    async def invoke(
        self,
        prompt: str | None = None,
        *,
        cache: llm_pb2.CachePolicy | None = None,
        timeout: float | None = TIMEOUT_SECONDS,  # noqa: ASYNC109 - it travels to the server
        **request: Any,
    ) -> Answer:
        """Asks a model and waits for the whole answer. `request`: see `completion`. `timeout` in seconds.
        `cache`: what the call may take from the gateway's cache and leave there.

        Raises PentadError with the reasons that llm.proto lists; one with `retry_after` can be tried again.
        """
        asked = llm_pb2.InvokeRequest(completion=completion(prompt, **request), cache=cache)
        response = await self._stub.Invoke(asked, timeout=timeout)
        return Answer(
            response.message, finish_reason(response.finish_reason), response.usage, response.served
        )

    def stream(
        self,
        prompt: str | None = None,
        *,
        cache: llm_pb2.CachePolicy | None = None,
        timeout: float | None = TIMEOUT_SECONDS,
        **request: Any,
    ) -> AnswerStream:
        """Asks a model, with the answer as it is made. `request`: see `completion`; `cache` as in
        `invoke`."""
        asked = llm_pb2.InvokeStreamingRequest(completion=completion(prompt, **request), cache=cache)
        return AnswerStream(self._stub.InvokeStreaming(asked, timeout=timeout))

    async def count_tokens(self, prompt: str | None = None, **request: Any) -> llm_pb2.CountTokensResponse:
        """Tokens of a request's input; `estimated` says whether they were counted. `request`: see
        `completion`."""
        asked = llm_pb2.CountTokensRequest(completion=completion(prompt, **request))
        response: llm_pb2.CountTokensResponse = await self._stub.CountTokens(asked)
        return response

    async def models(self, provider: str = "") -> llm_pb2.ListModelsResponse:
        """The models that can be asked, and those that could be; all providers' by default."""
        request = llm_pb2.ListModelsRequest(provider=provider)
        response: llm_pb2.ListModelsResponse = await self._stub.ListModels(request)
        return response

    async def embed(
        self,
        inputs: str | Sequence[str],
        *,
        model: str = "",
        dimensions: int | None = None,
        extras: Mapping[str, Any] | None = None,
        cache: llm_pb2.CachePolicy | None = None,
        timeout: float | None = TIMEOUT_SECONDS,  # noqa: ASYNC109 - it travels to the server
    ) -> Embeddings:
        """Vectors of texts, which go in several calls if they are many. `dimensions`: how long they shall be,
        for models that can shorten them; `cache` as in `invoke`. Raises PentadError as `invoke`."""
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        if not texts:
            raise InvalidArgument("INVALID_REQUEST", "there are no texts")
        found = Embeddings([], common_pb2.Usage(), llm_pb2.Served())
        for start in range(0, len(texts), _TEXTS_A_CALL):
            asked = llm_pb2.EmbedRequest(
                model=model,
                inputs=texts[start : start + _TEXTS_A_CALL],
                dimensions=dimensions,
                cache=cache,
            )
            if extras:
                asked.extras.update(extras)
            response = await self._stub.Embed(asked, timeout=timeout)
            found.vectors.extend(list(item.values) for item in response.embeddings)
            found.served.CopyFrom(response.served)
            _add_usage(found.usage, response.usage)
        return found

    async def batch_invoke(
        self,
        items: Mapping[str, Asked] | Iterable[tuple[str, Asked]],
        *,
        model: str = "",
        request_id: str = "",
        fan_out: bool = False,
    ) -> llm_pb2.Batch:
        """Hands in requests by their custom ids. `model` is for those that name none; with the same
        `request_id` as before, the batch of then is answered; `fan_out`: not by the provider's batch API.

        Raises InvalidArgument INVALID_REQUEST, naming the item at fault.
        """
        pairs = items.items() if isinstance(items, Mapping) else items
        request = llm_pb2.BatchInvokeRequest(
            model=model,
            request_id=request_id,
            fan_out=fan_out,
            items=[
                llm_pb2.BatchItem(custom_id=custom_id, completion=_asked(asked)) for custom_id, asked in pairs
            ],
        )
        response: llm_pb2.BatchInvokeResponse = await self._stub.BatchInvoke(request)
        return response.batch

    async def batch(self, batch_id: str) -> llm_pb2.Batch:
        """How far a batch is. Raises NotFound BATCH_NOT_FOUND."""
        request = llm_pb2.GetBatchRequest(batch_id=batch_id)
        response: llm_pb2.GetBatchResponse = await self._stub.GetBatch(request)
        return response.batch

    async def batch_ended(self, batch_id: str, poll_seconds: float = 0.5) -> llm_pb2.Batch:
        """Waits until a batch has ended, looking at it ever more seldom. Raises NotFound BATCH_NOT_FOUND."""
        while True:
            batch = await self.batch(batch_id)
            if batch.state in ENDED:
                return batch
            await asyncio.sleep(poll_seconds)
            poll_seconds = min(poll_seconds * 1.5, _MOST_POLL_SECONDS)

    async def batches(self) -> AsyncIterator[llm_pb2.Batch]:
        """The tenant's batches, newest first."""
        request = llm_pb2.ListBatchesRequest()
        while True:
            response: llm_pb2.ListBatchesResponse = await self._stub.ListBatches(request)
            for batch in response.batches:
                yield batch
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def batch_results(self, batch_id: str) -> AsyncIterator[llm_pb2.BatchResult]:
        """What came of a batch's items, in their order; of one that still runs, those that are done. Raises
        NotFound BATCH_NOT_FOUND."""
        request = llm_pb2.ListBatchResultsRequest(batch_id=batch_id, page_size=200)
        while True:
            response: llm_pb2.ListBatchResultsResponse = await self._stub.ListBatchResults(request)
            for result in response.results:
                yield result
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def cancel_batch(self, batch_id: str) -> llm_pb2.Batch:
        """Stops a batch; what is done stays. Raises NotFound BATCH_NOT_FOUND."""
        request = llm_pb2.CancelBatchRequest(batch_id=batch_id)
        response: llm_pb2.CancelBatchResponse = await self._stub.CancelBatch(request)
        return response.batch

    async def usage(
        self, *, start: datetime | None = None, end: datetime | None = None, run_id: str = "", agent: str = ""
    ) -> llm_pb2.GetUsageResponse:
        """What the tenant's calls cost, from `start` on and before `end` (aware times). Not for keys of role
        agent."""
        request = llm_pb2.GetUsageRequest(run_id=run_id, agent=agent)
        if start is not None:
            request.start_time.FromDatetime(start)
        if end is not None:
            request.end_time.FromDatetime(end)
        response: llm_pb2.GetUsageResponse = await self._stub.GetUsage(request)
        return response


def completion(
    prompt: str | None = None,
    *,
    messages: Iterable[MessageLike] = (),
    system: str = "",
    model: str = "",
    tools: Iterable[llm_pb2.Tool] = (),
    tool_choice: llm_pb2.ToolChoice | None = None,
    json_schema: Mapping[str, Any] | str | None = None,
    json_object: bool = False,
    temperature: float | None = None,
    top_p: float | None = None,
    max_output_tokens: int | None = None,
    stop: Sequence[str] = (),
    seed: int | None = None,
    reasoning_effort: str = "",
    extras: Mapping[str, Any] | None = None,
) -> llm_pb2.Completion:
    """A request: `system`, then `messages`, then `prompt` as a user's message; at least one of the last two.

    `model`: `provider/model`, a provider, or an alias; "" is the gateway's default. `json_schema`: what the
    answer must fit. Fields that a model does not take are left out, and `served.ignored_fields` of the answer
    names them. Raises InvalidArgument INVALID_REQUEST.
    """
    said = [
        *(message(item) for item in messages),
        *([text_message("user", prompt)] if prompt is not None else []),
    ]
    if not said:
        raise InvalidArgument("INVALID_REQUEST", "say something: a prompt, or messages")
    request = llm_pb2.Completion(
        model=model,
        messages=[*([text_message("system", system)] if system else []), *said],
        tools=tools,
        tool_choice=tool_choice,
        sampling=llm_pb2.Sampling(
            temperature=temperature,
            top_p=top_p,
            max_output_tokens=max_output_tokens,
            stop=stop,
            seed=seed,
            reasoning_effort=reasoning_effort,
        ),
    )
    if json_schema is not None:
        text = json_schema if isinstance(json_schema, str) else json.dumps(json_schema)
        request.response_format.json_schema = text
    elif json_object:
        request.response_format.json_object = True
    if extras:
        request.extras.update(extras)
    return request


def _asked(asked: Asked) -> llm_pb2.Completion:
    if isinstance(asked, llm_pb2.Completion):
        return asked
    return completion(asked) if isinstance(asked, str) else completion(**asked)


def _add_usage(total: common_pb2.Usage, more: common_pb2.Usage) -> None:
    total.input_tokens += more.input_tokens
    total.calls += more.calls
    total.estimated = total.estimated or more.estimated
    if more.HasField("cost"):
        total.cost.currency_code = more.cost.currency_code
        total.cost.micros += more.cost.micros


def message(item: MessageLike) -> llm_pb2.Message:
    """The contract's message. Raises InvalidArgument INVALID_REQUEST if `item` is nothing like one."""
    match item:
        case llm_pb2.Message():
            return item
        case (str() as role, str() as text) | {"role": str() as role, "content": str() as text}:
            return text_message(role, text)
        case _:
            raise InvalidArgument(
                "INVALID_REQUEST",
                f"a message is an llm_pb2.Message, (role, text), or role and content; not {item!r}",
            )


def text_message(role: str, text: str) -> llm_pb2.Message:
    """A message of words alone. Raises InvalidArgument INVALID_REQUEST if there is no such role."""
    name = f"MESSAGE_ROLE_{role.upper()}"
    if role == "unspecified" or name not in llm_pb2.MessageRole.keys():  # noqa: SIM118 - not a dict
        raise InvalidArgument(
            "INVALID_REQUEST",
            f"there is no role {role!r}; it is one of system, user, assistant, tool",
            role=role,
        )
    return llm_pb2.Message(role=name, parts=[llm_pb2.MessagePart(text=text)])


def finish_reason(number: int) -> str:
    """The name of a finish reason: stop, length, tool_calls, content_filter; "" where it is not known."""
    if not number:
        return ""
    return llm_pb2.FinishReason.Name(number).removeprefix("FINISH_REASON_").lower()
