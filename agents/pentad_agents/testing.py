"""Runs an agent by itself, without any service: for tests of agents, and for trying one by hand.

result = await run_agent(WordCounter(), "count", inputs={"a.txt": "one two"})
assert result.text == "2"
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pentad_agents.agent import BaseAgent, agent_name
from pentad_agents.context import Answer, Context, Llm, Log, Message, NoLlm, State
from pentad_agents.errors import AgentError
from pentad_agents.media import content_type_of
from pentad_agents.output import Final, Handoff, Output, outputs_of
from pentad_agents.task import Candidate, Part, StepOutput, Task


@dataclass(frozen=True, slots=True)
class Result:
    """What an agent answered."""

    parts: Sequence[Part]
    handoff: str = ""
    final: bool = False

    @property
    def text(self) -> str:
        """The first piece as text."""
        return self.parts[0]._data.decode() if self.parts and self.parts[0]._data is not None else ""

    @property
    def json(self) -> Any:
        """The first JSON piece."""
        return json.loads(
            next(part._data or b"" for part in self.parts if part.media_type == "application/json")
        )

    @property
    def markdown(self) -> str:
        """The first Markdown piece."""
        return next(part._data or b"" for part in self.parts if part.media_type == "text/markdown").decode()

    def as_step(self, agent: str) -> StepOutput:
        """The answer as what the next agent sees of it."""
        return StepOutput(agent, agent, self.parts)


class MemoryState:
    """State in a dictionary."""

    def __init__(self, entries: dict[str, tuple[Any, int]] | None = None) -> None:
        self.entries = entries if entries is not None else {}
        self._scopes: dict[str, MemoryState] = {}

    @property
    def shared(self) -> State:
        return self._scopes.setdefault("shared", MemoryState())

    @property
    def tenant(self) -> State:
        return self._scopes.setdefault("tenant", MemoryState())

    async def get(self, key: str, default: Any = None) -> Any:
        return self.entries.get(key, (default, 0))[0]

    async def read(self, key: str) -> tuple[Any, int]:
        return self.entries.get(key, (None, 0))

    async def put(
        self, key: str, value: Any, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        now = self.entries.get(key, (None, 0))[1]
        if revision is not None and revision != now:
            raise AgentError("REVISION_CONFLICT", f"{key} has revision {now}, not {revision}")
        self.entries[key] = (value, now + 1)
        return now + 1

    async def delete(self, key: str) -> bool:
        return self.entries.pop(key, None) is not None

    async def list(self, prefix: str = "") -> dict[str, Any]:
        return {key: value for key, (value, _) in sorted(self.entries.items()) if key.startswith(prefix)}

    async def append(self, key: str, value: Any) -> None:
        await self.put(key, [*await self.get(key, []), value])

    async def merge(self, key: str, value: Mapping[str, Any]) -> None:
        await self.put(key, {**await self.get(key, {}), **value})

    async def increment(self, key: str, by: float = 1) -> float:
        total = float(await self.get(key, 0)) + by
        await self.put(key, total)
        return total


@dataclass(slots=True)
class MemoryMessages:
    """Keeps what is sent, and answers requests from `answers` (by pattern of the recipient's name)."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    sent: list[tuple[str, Any]] = field(default_factory=list)

    async def send(self, recipient: str, content: Any, **_options: Any) -> str:
        self.sent.append((recipient, content))
        return str(len(self.sent))

    async def publish(self, topic: str, content: Any, **_options: Any) -> str:
        return await self.send(topic, content)

    async def request(self, recipient: str, content: Any, **_options: Any) -> Message:
        await self.send(recipient, content)
        for pattern, answer in self.answers.items():
            if fnmatch.fnmatch(recipient, pattern):
                return Message(id="1", sender=recipient, type="response", content=answer)
        raise AgentError("NO_ANSWER", f"{recipient} did not answer", retryable=True)


def local_context(
    agent: str = "agent", llm: Llm | None = None, answers: Mapping[str, Any] | None = None
) -> Context:
    """A context without services: state in memory, messages kept, models switched off unless one is given."""
    return Context(
        agent=agent,
        llm=llm or NoLlm(),
        state=MemoryState(),
        messages=MemoryMessages(answers or {}),
        log=Log(lambda level, text, **fields: None),
        report=lambda fraction, message: None,
        instance="local",
        run_id="local",
    )


async def run_agent(
    agent: BaseAgent,
    instruction: str = "",
    *,
    inputs: Mapping[str, str | bytes] | None = None,
    previous: Sequence[StepOutput] = (),
    candidates: Sequence[Candidate] = (),
    parameters: Mapping[str, str] | None = None,
    ctx: Context | None = None,
) -> Result:
    """Runs `execute()` once on inputs given as name → content. Raises what it raises."""
    parts = [
        Part(name, content_type_of(name), content.encode() if isinstance(content, str) else content)
        for name, content in (inputs or {}).items()
    ]
    name = agent_name(type(agent), "agent")
    task = Task(
        instruction, parts, previous, candidates, parameters or {}, id="1", run_id="local", agent=name
    )
    value = await agent.execute(task, ctx or local_context(name))
    handoff, final = "", False
    if isinstance(value, Handoff):
        handoff, value = value.agent, value.output
    elif isinstance(value, Final):
        final, value = True, value.output
    pieces = [] if value is None and (handoff or final) else list(outputs_of(value))
    return Result([_part(piece) for piece in pieces], handoff, final)


class ScriptedLlm(NoLlm):
    """A model that gives the same answers in the same order: for tests of what an agent makes of them."""

    def __init__(self, *answers: str, provider: str = "scripted") -> None:
        super().__init__()
        self.answers = list(answers)
        self.prompts: list[Any] = []
        self._provider = provider

    async def invoke(self, prompt: Any, **options: Any) -> Answer:
        self.prompts.append(prompt)
        text = self.answers.pop(0)
        data = json.loads(text) if options.get("json_schema") else None
        return Answer(text, data, model="scripted", provider=self._provider)

    async def default_model(self) -> Any:
        from pentad_agents.context import Model

        return Model("scripted", self._provider)


def _part(piece: Output | Part) -> Part:
    if isinstance(piece, Part):
        return piece
    content_type, data = piece.encode()
    return Part(piece.name, content_type, data)
