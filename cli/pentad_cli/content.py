"""What a command writes: words from the command line, a file, or standard input."""

from __future__ import annotations

import json
import sys

import click

from pentad_cli.failure import UsageProblem

STANDARD_INPUT = "-"


def read_value(value: str | None, file: str | None, example: str) -> bytes:
    """The bytes to write. Raises UsageProblem, with the example, unless one of the two is given."""
    if (value is None) == (file is None):
        raise UsageProblem("give either a VALUE or a --file", f"As in: {example}")
    if value is not None:
        return value.encode()
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        with click.open_file(str(file), "rb") as source:
            data: bytes = source.read()
            return data
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageProblem(f"{file} cannot be read: {why}", reason="FILE_UNREADABLE") from None


def guess_type(data: bytes, file: str | None) -> str:
    """Its media type: by the file's name, or JSON if it is, else text or bytes."""
    from pentad_cli.files import content_type_of

    if file not in (None, STANDARD_INPUT):
        return content_type_of(str(file), data[:65536])
    try:
        json.loads(data)
    except ValueError:
        return content_type_of("", data[:65536])
    return "application/json"
