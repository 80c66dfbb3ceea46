"""Delimited text: finds the delimiter, the header and where the table begins."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO

from pentad_agents.errors import AgentError
from pentad_agents.tables.reading import CHUNK_ROWS, Chunk, Table
from pentad_agents.tables.values import parse_date, parse_number

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SAMPLE_LINES = 200
MAX_NAME = 120  # characters of a column's name
MAX_FIELD = 1024 * 1024
MAX_CELL = 60  # characters: above, it is prose with commas rather than a table
TABLE_NAME = re.compile(r"\.(csv|tsv|tab|psv|dat)$", re.IGNORECASE)
TABLE_TYPES = ("text/csv", "text/tab-separated-values", "application/csv")
MARKDOWN_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*")


def open_delimited(text: TextIO, head: str, codec: str, name: str, content_type: str) -> Table:
    """The table in `text`, of which `head` is the beginning. Raises AgentError NOT_A_TABLE."""
    declared = bool(TABLE_NAME.search(name)) or content_type.partition(";")[0].strip() in TABLE_TYPES
    lines = head.splitlines()
    start = _first_markdown_table(lines)
    if start is not None and not declared:
        rows = _markdown_rows(_skip(text, start))
        return _table("Markdown table", codec, "|", rows, next(rows), header=True)
    start = _preamble(lines)
    delimiter = _sniff(lines[start : start + SAMPLE_LINES], declared)
    if delimiter is None:
        raise _not_a_table(name or "the input", lines)
    csv.field_size_limit(MAX_FIELD)
    rows = _rows(
        csv.reader(_skip(text, start), delimiter=delimiter, skipinitialspace=True), name or "the input"
    )
    first = next(rows, None)
    if first is None:
        raise AgentError("EMPTY_INPUT", f"{name or 'the input'} has no rows")
    ahead = list(islice(rows, SAMPLE_LINES))
    header = _is_header(first, ahead)
    if not header:
        ahead.insert(0, first)
        first = [f"column_{number}" for number in range(1, len(first) + 1)]
    return _table("delimited text", codec, delimiter, chain(ahead, rows), first, header)


def _table(
    form: str, codec: str, delimiter: str, rows: Iterable[list[str]], header_row: Sequence[str], header: bool
) -> Table:
    table = Table(form, codec, iter(()), DELIMITERS[delimiter], header)
    if header_row[-1:] == [""] and len(header_row) > 1:  # a delimiter at the end of each line
        header_row = header_row[:-1]
    table.chunks = _chunks(rows, unique_names(header_row), table.notes)
    return table


def _chunks(rows: Iterable[list[str]], names: list[str], notes: list[str]) -> Iterator[Chunk]:
    """Columns of the rows; short rows are filled up, surplus cells dropped, both noted."""
    width, iterator, short, long = len(names), iter(rows), 0, 0
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        for index, row in enumerate(chunk):
            if len(row) != width:
                short += len(row) < width
                long += any(cell.strip() for cell in row[width:])
                chunk[index] = (row + [""] * width)[:width]
        yield dict(zip(names, zip(*chunk, strict=True), strict=True))
    if short:
        notes.append(f"rows with fewer cells than the header: {short:,}; the missing cells count as empty")
    if long:
        notes.append(f"rows with more cells than the header: {long:,}; the surplus was left out")


def unique_names(cells: Sequence[str]) -> list[str]:
    """Names of columns: none empty, none twice, none longer than MAX_NAME characters (and a number)."""
    names: dict[str, None] = {}
    counts: dict[str, int] = {}
    for number, cell in enumerate(cells, 1):
        base = name = " ".join(cell.split())[:MAX_NAME] or f"column_{number}"
        while name in names:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        names[name] = None
    return list(names)


def _rows(reader: Iterator[list[str]], what: str) -> Iterator[list[str]]:
    """The rows that are not blank. Raises AgentError INVALID_TABLE where the quoting is broken."""
    number = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise AgentError(
                "INVALID_TABLE",
                f"{what} cannot be read after row {number:,}: {error}; is a quote left open there?",
            ) from None
        number += 1
        if any(row):
            yield row


def _sniff(lines: Sequence[str], declared: bool) -> str | None:
    """The delimiter that cuts the lines most evenly; None if the text is no table."""
    lines = [line for line in lines if line.strip()]
    best, best_score = None, 0.0
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(lines[:-1] or lines, delimiter=delimiter) if row]
        widths = Counter(len(row) for row in rows)
        width, count = widths.most_common(1)[0]
        share = count / len(rows)
        cells = sorted(len(cell) for row in rows for cell in row)
        prose = cells[len(cells) // 2] > MAX_CELL or (delimiter == "," and _is_prose(rows))
        if width > 1 and (declared or (share >= 0.8 and len(lines) > 2 and not prose)):
            score = share + min(width, 20) / 100
            best, best_score = (delimiter, score) if score > best_score else (best, best_score)
    if best is None and (declared or _is_number_list(lines)):
        return ","
    return best


def _is_prose(rows: Sequence[Sequence[str]]) -> bool:
    """Whether what follows commas mostly begins with a space and a small letter, as in sentences."""
    after = [cell for row in rows for cell in row[1:]]
    return sum(cell[:1] == " " and cell[1:2].islower() for cell in after) > len(after) * 0.5


def _is_number_list(lines: Sequence[str]) -> bool:
    """One number a line, perhaps below a heading."""
    values = lines[1:]
    return len(values) > 1 and sum(parse_number(line) is not None for line in values) >= len(values) * 0.8


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: words above values, or words that do not come again below."""
    cells = [cell.strip() for cell in first]
    if any(parse_date(cell) for cell in cells) or not rows:
        return not any(_is_value(cell) for cell in cells)
    numeric = [parse_number(cell) is not None for cell in cells]
    if any(numeric):  # years as names of columns: a row with a word or a gap at its start, all different
        return not numeric[0] and all(numeric[1:]) and len(set(cells)) == len(cells) > 2
    below = [[row[index].strip() for row in rows if index < len(row)] for index in range(len(cells))]
    if any(cell and _are_values(column) for cell, column in zip(cells, below, strict=True)):
        return True  # a word above values
    return not any(cell and cell in column for cell, column in zip(cells, below, strict=True))


def _are_values(column: Sequence[str]) -> bool:
    filled = [cell for cell in column if cell]
    return bool(filled) and sum(_is_value(cell) for cell in filled) > len(filled) * 0.6


def _is_value(cell: str) -> bool:
    return parse_number(cell) is not None or parse_date(cell) is not None


def _preamble(lines: Sequence[str]) -> int:
    """Lines before the table: comments, blank lines, Excel's `sep=;`."""
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("#") and not re.fullmatch(r"sep=.", line.strip()):
            return number
    return 0


def _first_markdown_table(lines: Sequence[str]) -> int | None:
    """Where the first Markdown table of the text begins: a line with `|` above a rule of dashes."""
    for number, line in enumerate(lines[1:], 1):
        if "|" in line and MARKDOWN_RULE.fullmatch(line) and "|" in lines[number - 1]:
            return number - 1
    return None


def _markdown_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    for line in lines:
        if "|" not in line:
            return
        if not MARKDOWN_RULE.fullmatch(line):
            cells = line.strip().removeprefix("|").removesuffix("|").split("|")
            yield [cell.strip() for cell in cells]


def _skip(text: TextIO, lines: int) -> Iterator[str]:
    """The lines after the first few, without a byte order mark."""
    first = text.readline().removeprefix("\ufeff")
    if lines == 0:
        return chain([first], text)
    return islice(text, lines - 1, None)


def _not_a_table(what: str, lines: Sequence[str]) -> AgentError:
    return AgentError(
        "NOT_A_TABLE",
        f"{what} is not a table: no comma, semicolon, tab or | cuts its lines into columns. "
        "For prose use the summarizer or the critic.",
        first_line=next((line.strip()[:80] for line in lines if line.strip()), ""),
    )
