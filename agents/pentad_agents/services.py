"""An agent's context on top of Pentad's services."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pentad.common.v1 import common_pb2
from pentad.context.v1 import context_pb2
from pentad.llm.v1 import llm_pb2
from pentad_agents.context import Answer, Message, Model, Prompt, State
from pentad_agents.errors import AgentError
from pentad_agents.output import Output
from pentad_agents.wire import decode_content, to_message
from pentad_client.connection import Connection
from pentad_client.context import ContextClient
from pentad_client.errors import DeadlineExceeded, NotFound, PentadError
from pentad_client.llm import LlmClient
from pentad_client.message import new_message

MODELS_SECONDS = 30.0
FAILURE_SECONDS = 5.0


class Models:
    """What models there are, asked for now and then. A failure is remembered for a moment, so that agents
    that do without do so at once."""

    def __init__(self, client: LlmClient) -> None:
        self._client = client
        self._known: llm_pb2.ListModelsResponse | PentadError | None = None
        self._until = 0.0

    async def find(self, name: str) -> Model:
        """The model of this name; the default one for an empty name. Raises PentadError."""
        if time.monotonic() >= self._until:
            await self._refresh()
        known = self._known
        if isinstance(known, PentadError):
            raise known
        assert known is not None
        wanted = name or known.default_model
        for model in known.models:
            if wanted in (f"{model.provider}/{model.name}", model.name):
                return Model(model.name, model.provider, model.context_window)
        provider, _, rest = wanted.partition("/")
        return Model(rest or provider, provider if rest else "")

    async def _refresh(self) -> None:
        try:
            self._known = await self._client.models()
            self._until = time.monotonic() + MODELS_SECONDS
        except PentadError as error:
            self._known = error
            self._until = time.monotonic() + FAILURE_SECONDS


class GatewayLlm:
    """`ctx.llm`: calls through the gateway, with what they cost added up in `usage`."""

    def __init__(self, client: LlmClient, models: Models, model: str = "") -> None:
        self._client = client
        self._models = models
        self._model = model
        self.usage = common_pb2.Usage()

    async def invoke(
        self,
        prompt: Prompt,
        *,
        system: str = "",
        model: str = "",
        json_schema: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> Answer:
        answer = await self._client.invoke(
            **_said(prompt),
            system=system,
            model=model or self._model,
            json_schema=json_schema,
            max_output_tokens=max_tokens,
            temperature=temperature,
            stop=stop,
            seed=seed,
        )
        self._add(answer.usage)
        return Answer(
            text=answer.text,
            data=_json_of(answer) if json_schema is not None else None,
            finish_reason=answer.finish_reason,
            model=answer.served.model,
            provider=answer.served.provider,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
        )

    async def stream(
        self,
        prompt: Prompt,
        *,
        system: str = "",
        model: str = "",
        max_tokens: int | None = None,
        temperature: float | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> AsyncIterator[str]:
        stream = self._client.stream(
            **_said(prompt),
            system=system,
            model=model or self._model,
            max_output_tokens=max_tokens,
            temperature=temperature,
            stop=stop,
            seed=seed,
        )
        try:
            async with stream:
                async for event in stream:
                    if isinstance(event, llm_pb2.Delta) and event.text:
                        yield event.text
        finally:
            if stream.usage is not None:
                self._add(stream.usage)

    async def default_model(self) -> Model:
        return await self._models.find(self._model)

    def _add(self, more: common_pb2.Usage) -> None:
        total = self.usage
        for name in ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"):
            setattr(total, name, getattr(total, name) + getattr(more, name))
        total.calls += more.calls or 1
        total.estimated = total.estimated or more.estimated
        if more.HasField("cost") and total.cost.currency_code in ("", more.cost.currency_code):
            total.cost.currency_code = more.cost.currency_code
            total.cost.micros += more.cost.micros


class ContextState:
    """`ctx.state`: one namespace in one scope of the context service."""

    def __init__(self, client: ContextClient, agent: str, run_id: str, namespace: str | None = None) -> None:
        self._client = client
        self._agent = agent
        self._run_id = run_id
        self._where: dict[str, Any] = {
            "namespace": agent if namespace is None else namespace,
            "scope": f"runs/{run_id}" if run_id else "tenant",
        }

    @property
    def shared(self) -> State:
        return ContextState(self._client, self._agent, self._run_id, "")

    @property
    def tenant(self) -> State:
        return ContextState(self._client, self._agent, "", self._where["namespace"])

    async def get(self, key: str, default: Any = None) -> Any:
        value, revision = await self.read(key)
        return value if revision else default

    async def read(self, key: str) -> tuple[Any, int]:
        try:
            entry = await self._client.get(key, **self._where)
        except NotFound:
            return None, 0
        return decode_content(entry.content), entry.revision

    async def put(
        self, key: str, value: Any, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        entry = await self._write(key, value, if_revision=revision, ttl=ttl)
        return int(entry.revision)

    async def delete(self, key: str) -> bool:
        return await self._client.delete(key, **self._where)

    async def list(self, prefix: str = "") -> dict[str, Any]:
        entries = self._client.list(prefix, **self._where)
        return {entry.address.key: decode_content(entry.content) async for entry in entries}

    async def append(self, key: str, value: Any) -> None:
        await self._write(key, value, reducer="append")

    async def merge(self, key: str, value: Mapping[str, Any]) -> None:
        await self._write(key, dict(value), reducer="merge")

    async def increment(self, key: str, by: float = 1) -> float:
        entry = await self._write(key, by, reducer="increment")
        return float(decode_content(entry.content))

    async def _write(self, key: str, value: Any, **options: Any) -> context_pb2.Entry:
        kind, data = Output(value).encode()
        if options.get("reducer") and isinstance(value, str):  # reducers join JSON values
            kind, data = "application/json", json.dumps(value).encode()
        return await self._client.put(key, data, content_type=kind, **self._where, **options)


class BusMessages:
    """`ctx.messages`: over the agent's own line to the bus."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send(
        self, recipient: str, content: Any, *, type: str = "message", headers: Mapping[str, str] | None = None
    ) -> str:
        message = new_message(type, content_of(content), recipient=recipient, headers=headers)
        await self._connection.publish(message)
        return message.id

    async def publish(
        self, topic: str, content: Any, *, type: str = "message", headers: Mapping[str, str] | None = None
    ) -> str:
        message = new_message(type, content_of(content), topic=topic, headers=headers)
        await self._connection.publish(message)
        return message.id

    async def request(
        self,
        recipient: str,
        content: Any,
        *,
        type: str = "request",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - callers think of it as part of the request
    ) -> Message:
        message = new_message(type, content_of(content), recipient=recipient, headers=headers, ttl=timeout)
        try:
            return to_message(await self._connection.request(message, timeout))
        except DeadlineExceeded:
            raise AgentError(
                "NO_ANSWER",
                f"{recipient} did not answer within {timeout:g} s",
                retryable=True,
                agent=recipient,
            ) from None


def content_of(value: Any) -> common_pb2.Content | None:
    """The payload of a message that says `value`; None for None."""
    if value is None:
        return None
    kind, data = Output(value).encode()
    return common_pb2.Content(content_type=kind, data=data)


def _said(prompt: Prompt) -> dict[str, Any]:
    return {"prompt": prompt} if isinstance(prompt, str) else {"messages": list(prompt)}


def _json_of(answer: Any) -> Any:
    """The answer as JSON; None where it was cut or is none."""
    try:
        return answer.json()
    except ValueError:
        return None
