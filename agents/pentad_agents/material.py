"""What an agent has to work on: the pieces of its task, told apart as table, prose or data, and read within
bounds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pentad_agents.encoding import decode
from pentad_agents.errors import AgentError
from pentad_agents.task import Part, StepOutput, Task

Kind = Literal["table", "prose", "data"]

MAX_TEXT = 2 * 1024 * 1024  # bytes of a text that are read; more is said to be left out
SENTENCE_WORDS = 5
TABLE_NAMES = (".csv", ".tsv", ".tab", ".psv", ".jsonl", ".ndjson")
PROSE_NAMES = (".md", ".markdown", ".txt", ".rst", ".log", ".eml")


@dataclass(frozen=True, slots=True)
class Document:
    """A text to read. `data` is its JSON, if it is some; `cut` says whether only its beginning was read."""

    name: str
    text: str
    data: Any = None
    cut: bool = False


@dataclass(slots=True)
class Material:
    """A task's pieces by kind. `problems` says in words which could not be used, or not as a whole."""

    tables: list[Part] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


async def kind_of(part: Part) -> Kind:
    """What a piece is, by its name where that is clear, else by how it begins.

    Raises AgentError EMPTY_INPUT or BINARY_INPUT.
    """
    from pentad_agents.tables.reading import open_table

    name = part.name.lower()
    if part.size == 0 and part.artifact is None:
        raise AgentError("EMPTY_INPUT", f"{part.name or 'the input'} is empty")
    if name.endswith(PROSE_NAMES):
        return "prose"
    with await part.open() as file:
        try:
            await asyncio.to_thread(open_table, file, part.name, part.content_type)
        except AgentError as error:
            if error.reason in ("EMPTY_INPUT", "BINARY_INPUT"):
                raise
            is_json = name.endswith(".json") or part.media_type.endswith("json")
            return "data" if is_json and error.reason == "NOT_A_TABLE" else "prose"
    return "table"


async def read(part: Part) -> Document:
    """The piece as text. JSON comes as a Markdown list. Raises AgentError EMPTY_INPUT or
    BINARY_INPUT."""
    with await part.open() as file:
        body = await asyncio.to_thread(file.read, MAX_TEXT + 1)
    cut = len(body) > MAX_TEXT
    text = decode(body[:MAX_TEXT], part.content_type, part.name, complete=not cut)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise AgentError("EMPTY_INPUT", f"{part.name or 'the input'} is empty")
    data, lines = (None, []) if cut else _data(text)
    if data is not None and not lines:
        raise AgentError("EMPTY_INPUT", f"{part.name or 'the input'} is JSON without a single value")
    return Document(part.name or "input", "\n".join(lines) if data is not None else text, data, cut)


def _data(text: str) -> tuple[Any, list[str]]:
    """The text's JSON, and that as lines; None if it is none, or nested deeper than Python can follow."""
    try:
        data = json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
        return data, lines_of(data)
    except (ValueError, RecursionError):
        return None, []


async def gather(task: Task) -> Material:
    """The task's inputs by kind. Raises AgentError NO_INPUT if there are none, or the reason if none can be
    used."""
    found = Material()
    if not task.inputs:
        agents = ", ".join(dict.fromkeys(step.agent for step in task.previous))
        made = f"what {agents} made is nothing that it works on; put it first"
        raise AgentError(
            "NO_INPUT", made if agents else "there is nothing to work on; give a file with --file"
        )
    for part in task.inputs:
        try:
            if await kind_of(part) == "table":
                found.tables.append(part)
            else:
                document = await read(part)
                found.documents.append(document)
                if document.data is None and not document.cut and part.name.lower().endswith(".json"):
                    found.problems.append(f"{document.name} is not valid JSON and was read as text")
                if document.cut:
                    found.problems.append(f"of {document.name} only the first {MAX_TEXT >> 20} MB were read")
        except AgentError as error:
            found.problems.append(error.message)
            found.reasons.append(error.reason)
    if not found.tables and not found.documents:
        raise AgentError(found.reasons[0], "; ".join(found.problems))
    return found


async def documents_of(step: StepOutput) -> list[Document]:
    """What an earlier step said, as texts; pieces that are no text are left out."""
    found = []
    for part in step.outputs:
        try:
            found.append(await read(part))
        except AgentError:
            continue
    return found


async def json_of(step: StepOutput | None, key: str) -> dict[str, Any] | None:
    """The first JSON object with a member `key` among what a step said; None if there is none."""
    for part in step.outputs if step else ():
        if part.media_type == "application/json":
            value = await part.json()
            if isinstance(value, dict) and key in value:
                return value
    return None


def lines_of(value: Any, path: str = "") -> list[str]:
    """JSON as a Markdown list: sentences as they are, all else as `path: value`, elements numbered from 1."""
    if isinstance(value, dict):
        return [line for key, item in value.items() for line in lines_of(item, _join(path, str(key)))]
    if isinstance(value, list):
        numbered = enumerate(value, 1)
        return [line for number, item in numbered for line in lines_of(item, f"{path} {number}".strip())]
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    is_sentence = not path or len(shown.split()) >= SENTENCE_WORDS
    return [f"- {shown}" if is_sentence else f"- {path}: {shown}"]


def _join(path: str, key: str) -> str:
    return f"{path} / {key.replace('_', ' ')}".removeprefix(" / ")
