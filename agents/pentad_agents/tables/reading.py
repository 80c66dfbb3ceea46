"""Opens a file as a table: columns of text, a few thousand rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

from pentad_agents.encoding import sniff
from pentad_agents.errors import AgentError

SAMPLE_BYTES = 64 * 1024
CHUNK_ROWS = 8192

Chunk = Mapping[str, Sequence[str]]
"""Columns of the same length, by name."""


@dataclass(slots=True)
class Table:
    """A table to be read once. `notes` grows while it is read."""

    format: str
    encoding: str
    chunks: Iterator[Chunk]
    delimiter: str = ""
    header: bool = True
    notes: list[str] = field(default_factory=list)
    text: TextIO | None = None
    """Kept, as it closes the file when it goes."""


def open_table(file: BinaryIO, name: str = "", content_type: str = "") -> Table:
    """The table in `file`, which must be seekable.

    Raises AgentError EMPTY_INPUT, BINARY_INPUT, NOT_A_TABLE or (also while reading) INVALID_TABLE.
    """
    from pentad_agents.tables import delimited, records

    sample = file.read(SAMPLE_BYTES)
    what = name or "the input"
    if not sample.strip():
        raise AgentError("EMPTY_INPUT", f"{what} is empty")
    codec = sniff(sample, content_type, name, complete=len(sample) < SAMPLE_BYTES)
    head = sample.decode(codec, "replace").removeprefix("\ufeff")
    if not head.strip():
        raise AgentError("EMPTY_INPUT", f"{what} is empty")
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=codec, errors="replace", newline="")
    if records.looks_like_json(head, name, content_type):
        table = records.open_records(text, head, codec, what)
    else:
        table = delimited.open_delimited(text, head, codec, name, content_type)
    table.text = text
    return table
