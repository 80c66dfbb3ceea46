"""What an agent is asked: the task, its pieces and what came before."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from pentad_agents.encoding import decode
from pentad_agents.errors import AgentError

Bytes = bytes  # Part has a method of this name
Fetch = Callable[[], Awaitable[BinaryIO]]
"""Opens the bytes of a piece that is kept elsewhere: a seekable file, at its start."""


class Part:
    """A file, a text or a JSON document: a piece of a task or of an earlier answer.

    Small ones travel in the task; large ones are fetched when first asked for, into a temporary file that
    lives as long as the task. `size` is in bytes.
    """

    def __init__(
        self,
        name: str,
        content_type: str,
        data: Bytes | None = None,
        *,
        size: int = 0,
        fetch: Fetch | None = None,
        artifact: Any = None,
    ) -> None:
        self.name = name
        self.content_type = content_type or "application/octet-stream"
        self.size = len(data) if data is not None else size
        self.artifact = artifact
        self._data = data
        self._fetch = fetch

    def __repr__(self) -> str:
        return f"Part(name={self.name!r}, content_type={self.content_type!r}, size={self.size})"

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    async def open(self) -> BinaryIO:
        """The bytes as a seekable file, at its start. On disk if the piece is large; close it when done."""
        if self._data is not None:
            return io.BytesIO(self._data)
        assert self._fetch is not None, "a Part has its bytes or says where they are"
        return await self._fetch()

    async def bytes(self) -> Bytes:
        """All of it, in memory."""
        if self._data is not None:
            return self._data
        with await self.open() as file:
            return file.read()

    async def text(self) -> str:
        """All of it as text: by its charset, a byte order mark, UTF-8, else Windows-1252.

        Raises AgentError BINARY_INPUT if it is no text.
        """
        return decode(await self.bytes(), self.content_type, self.name)

    async def json(self) -> Any:
        """All of it as JSON. Raises AgentError INVALID_JSON with the line at fault."""
        text = await self.text()
        try:
            return json.loads(text)
        except ValueError as error:
            name = self.name or "the input"
            raise AgentError("INVALID_JSON", f"{name} is not valid JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What an earlier step came to: its outputs, or why it failed (`reason` and `message`)."""

    step: str
    agent: str
    outputs: Sequence[Part] = ()
    reason: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the step ended without an output of its own."""
        return bool(self.reason)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent that may be asked next."""

    agent: str
    description: str = ""
    capabilities: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt of one step of a run.

    `inputs`: the files and texts the run was started with. `previous`: what earlier steps said, in the order
    of the plan. `candidates`: the agents to choose from, only where a choice is asked for. `deadline`: when
    the answer is no longer wanted. `parameters`: settings of the step, all strings.
    """

    instruction: str = ""
    inputs: Sequence[Part] = ()
    previous: Sequence[StepOutput] = ()
    candidates: Sequence[Candidate] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    run_id: str = ""
    step: str = ""
    agent: str = ""
    attempt: int = 1
    deadline: datetime | None = None

    @property
    def input(self) -> Part:
        """The first input. Raises AgentError NO_INPUT if there is none."""
        if not self.inputs:
            raise AgentError("NO_INPUT", "this task came without an input; give it a file with --file")
        return self.inputs[0]

    def previous_of(self, agent: str) -> StepOutput | None:
        """What `agent` said last, if it succeeded in this run."""
        done = [step for step in self.previous if step.agent == agent and not step.failed]
        return done[-1] if done else None
