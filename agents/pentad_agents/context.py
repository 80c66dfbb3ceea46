"""What an agent has at hand while it works: models, state, messages, progress, log and cancellation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pentad_agents.errors import AgentError

Prompt = str | Sequence[Mapping[str, str]]
"""What a model is asked: one question, or turns such as `{"role": "user", "content": "…"}`."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that would answer. `context_window` in tokens, 0 where unknown."""

    name: str
    provider: str
    context_window: int = 0

    @property
    def small(self) -> bool:
        """Whether it is the built-in model: fluent, but not to be trusted with facts or judgement."""
        return self.provider == "local"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. `data`: the parsed JSON when a schema was given. `finish_reason`: `stop`, `length`,
    …"""

    text: str
    data: Any = None
    finish_reason: str = "stop"
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Llm(Protocol):
    """Calls to models through the gateway, counted to the run."""

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
        """Asks and waits for the whole answer. Raises PentadError, or AgentError LLM_OFF where models are
        switched off."""
        ...

    def stream(
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
        """The answer piece by piece. Raises as `invoke` does; also in the middle, when the answer was cut."""
        ...

    async def default_model(self) -> Model:
        """The model that an empty `model` means. Raises as `invoke` does."""
        ...


class State(Protocol):
    """Entries of one namespace in one scope of the context service. Values are str, bytes, or what JSON can
    say.

    `ctx.state` is the agent's own, for this run. `.shared` is open to all agents; `.tenant` outlives the run;
    and `ctx.state.tenant.shared` is both.
    """

    @property
    def shared(self) -> State: ...

    @property
    def tenant(self) -> State: ...

    async def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        ...

    async def read(self, key: str) -> tuple[Any, int]:
        """The value and its revision; (None, 0) if there is none."""
        ...

    async def put(
        self, key: str, value: Any, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        """Writes and returns the new revision. `revision`: only if it still has this one (0: does not exist),
        otherwise Aborted REVISION_CONFLICT. `ttl`: seconds until it ends."""
        ...

    async def delete(self, key: str) -> bool:
        """Removes; whether there was one."""
        ...

    async def list(self, prefix: str = "") -> dict[str, Any]:
        """All entries whose key starts with `prefix`, by key."""
        ...

    async def append(self, key: str, value: Any) -> None:
        """Adds to a list, safely beside other writers."""
        ...

    async def merge(self, key: str, value: Mapping[str, Any]) -> None:
        """Sets members of an object, safely beside other writers."""
        ...

    async def increment(self, key: str, by: float = 1) -> float:
        """Adds to a number, safely beside other writers; returns the sum."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A message from the bus. `content`: str, parsed JSON, or bytes, by its content type."""

    id: str
    sender: str
    type: str
    content: Any
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    correlation_id: str = ""
    reply_to: str = ""
    run_id: str = ""
    topic: str = ""


class Messages(Protocol):
    """Messages to other agents. `content` is str, bytes, or what JSON can say."""

    async def send(
        self, recipient: str, content: Any, *, type: str = "message", headers: Mapping[str, str] | None = None
    ) -> str:
        """To one agent (or `agent/instance`); returns the message's id once the bus has it.
        Raises NotFound RECIPIENT_UNKNOWN."""
        ...

    async def publish(
        self, topic: str, content: Any, *, type: str = "message", headers: Mapping[str, str] | None = None
    ) -> str:
        """To all who subscribed to the topic; returns the message's id."""
        ...

    async def request(
        self,
        recipient: str,
        content: Any,
        *,
        type: str = "request",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - callers think of it as part of the request
    ) -> Message:
        """To one agent, and waits for its answer, at most `timeout` seconds. Raises AgentError NO_ANSWER
        (retryable), or the PentadError with which the other side says that there will be none, such as
        MESSAGE_TYPE_UNKNOWN."""
        ...


class Log:
    """`ctx.log.info("read the file", rows=7)`: a line with run, agent and step; also plain `ctx.log("…")`."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self._write = write

    def __call__(self, event: object, *args: object, **fields: Any) -> None:
        self._line("info", event, args, fields)

    def debug(self, event: object, *args: object, **fields: Any) -> None:
        self._line("debug", event, args, fields)

    def info(self, event: object, *args: object, **fields: Any) -> None:
        self._line("info", event, args, fields)

    def warning(self, event: object, *args: object, **fields: Any) -> None:
        self._line("warning", event, args, fields)

    def error(self, event: object, *args: object, **fields: Any) -> None:
        self._line("error", event, args, fields)

    def exception(self, event: object, *args: object, **fields: Any) -> None:
        """Like `error`, with the traceback of the exception being handled."""
        self._line("error", event, args, {"exc_info": True, **fields})

    def _line(self, level: str, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        text = str(event)
        if args:  # the standard library's way: log.info("%s rows", n)
            try:
                text %= args
            except (TypeError, ValueError):
                text = " ".join([text, *map(str, args)])
        self._write(level, text, **fields)


class _Nothing:
    """Makes `await ctx.progress(…)` as good as `ctx.progress(…)`."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Context:
    """Everything an agent has at hand while it works on one task or message.

    When the run is cancelled or the task's time is up, the asyncio task that runs `execute()` is cancelled:
    what it awaits, a model's answer included, ends with CancelledError. Code in threads asks `ctx.cancelled`.
    """

    def __init__(
        self,
        *,
        agent: str,
        llm: Llm,
        state: State,
        messages: Messages,
        log: Log,
        report: Callable[[float | None, str], None],
        instance: str = "",
        run_id: str = "",
    ) -> None:
        self.agent = agent
        self.instance = instance
        self.run_id = run_id
        self.llm = llm
        self.state = state
        self.messages = messages
        self.log = log
        self.cancelled = False
        self._report = report

    def progress(self, fraction: float | str | None = None, message: str = "") -> Awaitable[None]:
        """Tells how much is done, from 0 to 1 (None: unknown), and what is being done. Never waits, may be
        awaited."""
        if isinstance(fraction, str):
            self._report(None, fraction)
        else:
            self._report(None if fraction is None else min(1.0, max(0.0, float(fraction))), message)
        return _Nothing()


class NoLlm:
    """Stands where models are switched off."""

    def __init__(self, why: str = "calls to models are switched off for this task") -> None:
        self._error = AgentError("LLM_OFF", why)

    async def invoke(self, prompt: Prompt, **_options: Any) -> Answer:
        raise self._error

    async def stream(self, prompt: Prompt, **_options: Any) -> AsyncIterator[str]:
        if self._error:
            raise self._error
        yield ""

    async def default_model(self) -> Model:
        raise self._error
