"""JSON as a table: an array of objects, one object a line, or an object that holds such an array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TextIO

from pentad_agents.errors import AgentError
from pentad_agents.tables.reading import CHUNK_ROWS, Chunk, Table

READ_CHARACTERS = 256 * 1024
MAX_DOCUMENT = 32 * 1024 * 1024  # characters: a document that is no stream of records is read as a whole
MAX_COLUMNS = 500
MANY_RECORDS = 50


def looks_like_json(head: str, name: str, content_type: str) -> bool:
    """Whether a text that begins so is meant as JSON."""
    start = head.lstrip()[:1]
    said = name.lower().endswith((".json", ".jsonl", ".ndjson")) or "json" in content_type
    return said or start == "{" or (start == "[" and head.lstrip()[1:].lstrip()[:1] in ("{", "[", "]"))


def open_records(text: TextIO, head: str, codec: str, what: str) -> Table:
    """The table in the JSON `text`. Raises AgentError NOT_A_TABLE, EMPTY_INPUT or, also while reading,
    INVALID_JSON."""
    stripped = head.lstrip()
    if stripped.startswith("["):
        form, values = "JSON array", _array(_pieces(text), what)
    elif _is_lines(stripped):
        form, values = "JSON lines", _lines(text, what)
    else:
        form, values = _nested(text, what)
    first = next(values, None)
    if first is None:
        raise AgentError("EMPTY_INPUT", f"{what} has no records")
    if not isinstance(first, Mapping | list | int | float):
        raise AgentError("NOT_A_TABLE", f"{what} is not a table: its elements are neither objects nor lists")
    table = Table(form, codec, iter(()))
    table.chunks = _chunks(_chain(first, values), table.notes)
    return table


def cell(value: Any) -> str:
    """A JSON value as a cell's text; null is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _written(value)


def _written(value: Any) -> str:
    """A list or object as JSON, unless it is nested deeper than Python can follow."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply)"


def _chunks(values: Iterable[Any], notes: list[str]) -> Iterator[Chunk]:
    names: dict[str, None] = {}
    dropped: set[str] = set()
    iterator = iter(values)
    while chunk := [_flat(value) for value in islice(iterator, CHUNK_ROWS)]:
        for record in chunk:
            for name in record:
                if name not in names:
                    if len(names) < MAX_COLUMNS:
                        names[name] = None
                    elif len(dropped) < MAX_COLUMNS:
                        dropped.add(name)
        yield {name: [record.get(name, "") for record in chunk] for name in names}
    if dropped:
        notes.append(f"there are more than {MAX_COLUMNS} different fields; the rest was left out")


def _flat(value: Any) -> dict[str, str]:
    """A record as cells: members of inner objects as `outer.inner`, list elements as `column_1` and so on."""
    if isinstance(value, list):
        return {f"column_{number}": cell(item) for number, item in enumerate(value, 1)}
    if not isinstance(value, Mapping):
        return {"value": cell(value)}
    flat = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            flat.update({f"{name}.{inner}": cell(deep) for inner, deep in item.items()})
        else:
            flat[name] = cell(item)
    return flat


def _is_lines(head: str) -> bool:
    """Whether the first line is a whole object and another follows."""
    first, _, rest = head.partition("\n")
    try:
        json.loads(first)
    except ValueError:
        return False
    return rest.lstrip().startswith("{")


def _lines(text: TextIO, what: str) -> Iterator[Any]:
    for number, line in enumerate(text, 1):
        line = line.strip().removeprefix("\ufeff")
        if line:
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise AgentError(
                    "INVALID_JSON", f"{what} is not valid JSON in line {number:,}: {error}"
                ) from None


def _nested(text: TextIO, what: str) -> tuple[str, Iterator[Any]]:
    """The longest list of objects in a document, at most two levels down."""
    body = text.read(MAX_DOCUMENT + 1).removeprefix("\ufeff")
    if len(body) > MAX_DOCUMENT:
        raise AgentError(
            "NOT_A_TABLE", f"{what} is one JSON object of more than {MAX_DOCUMENT >> 20} MB, not a table"
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AgentError("INVALID_JSON", f"{what} is not valid JSON: {error}") from None
    lists = sorted(_lists_of(document, ""), key=lambda found: -len(found[1]))
    if not lists or not _dominates(lists[0][1], body):
        raise AgentError(
            "NOT_A_TABLE",
            f"{what} is one JSON object that is not mainly a list of records, so it is not a table. "
            "For single documents use the summarizer.",
        )
    return f"JSON array at {lists[0][0]!r}", iter(lists[0][1])


def _dominates(records: list[Any], body: str) -> bool:
    """Whether the document is there for these records: many of them, or most of its text."""
    return len(records) >= MANY_RECORDS or len(_written(records)) > 0.8 * len(_written(json.loads(body)))


def _lists_of(value: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
    if not isinstance(value, Mapping) or path.count(".") > 1:
        return
    for name, item in value.items():
        where = f"{path}.{name}" if path else str(name)
        if isinstance(item, list) and item and all(isinstance(one, Mapping) for one in item):
            yield where, item
        else:
            yield from _lists_of(item, where)


def _pieces(text: TextIO) -> Iterator[str]:
    while piece := text.read(READ_CHARACTERS):
        yield piece


def _array(pieces: Iterator[str], what: str) -> Iterator[Any]:
    """The elements of a JSON array, read piece by piece."""
    decoder = json.JSONDecoder()
    buffer, at, count, more = next(pieces, "").removeprefix("\ufeff").lstrip(), 1, 0, True
    while True:
        at = _next_element(buffer, at)
        if at < len(buffer) and buffer[at] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, at)
            complete = end < len(buffer)  # a number at the very end may go on
        except (ValueError, RecursionError) as error:
            if not more:
                raise _broken(error, count, what) from None
            complete = False
        if complete:
            yield value
            count, at = count + 1, end
        elif more:
            piece = next(pieces, "")
            more = bool(piece)
            buffer, at = buffer[at:] + piece, 0
        else:
            raise _broken("it ends in the middle", count, what)


def _next_element(buffer: str, at: int) -> int:
    while at < len(buffer) and buffer[at] in " \t\r\n,":
        at += 1
    return at


def _broken(error: object, count: int, what: str) -> AgentError:
    return AgentError("INVALID_JSON", f"{what} is not valid JSON after element {count:,}: {error}")


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
