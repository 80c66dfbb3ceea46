"""Files that a run is started with: looked at before anything starts, read in chunks."""

from __future__ import annotations

import codecs
import mimetypes
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pentad_cli.failure import UsageProblem
from pentad_cli.units import size as sized

MOST_BYTES = 100 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
STANDARD_INPUT = "-"
BINARY = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
_SNIFFED_BYTES = 64 * 1024

_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".xml": "application/xml",
    ".html": "text/html",
    ".htm": "text/html",
}


@dataclass(frozen=True)
class InputFile:
    """A file that can be read. `name`: unique among the run's files. `size` in bytes."""

    name: str
    content_type: str
    size: int
    path: Path
    _spooled: BinaryIO | None = None
    """Holds what came through a pipe; gone when closed."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in order, at most CHUNK_BYTES each."""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def read(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()


def check_files(paths: Sequence[str]) -> list[InputFile]:
    """The files: readable, not empty, within the limit. Raises UsageProblem about the first that is not."""
    names: list[str] = []
    files = []
    for given in paths:
        file = _check(given, names)
        names.append(file.name)
        files.append(file)
    return files


def _check(given: str, taken: Sequence[str]) -> InputFile:
    path, spooled = _opened(given)
    length = path.stat().st_size
    if length == 0:
        raise UsageProblem(f"{given}: the file is empty, so there is nothing to work on", reason="FILE_EMPTY")
    if length > MOST_BYTES:
        raise _too_large(given, sized(length))
    with path.open("rb") as file:
        content_type = content_type_of(given, file.read(_SNIFFED_BYTES))
    name = "stdin" if given == STANDARD_INPUT else Path(given).name
    return InputFile(_unique(name, taken), content_type, length, path, spooled)


def _opened(given: str) -> tuple[Path, BinaryIO | None]:
    """The path to read; what comes through a pipe is put into a temporary file first."""
    if given == STANDARD_INPUT:
        return _spool(sys.stdin.buffer, given)
    path = Path(given).expanduser()
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageProblem(
                f"{given} is a folder; name the files in it one by one", reason="FILE_IS_FOLDER"
            )
        with path.open("rb") as file:
            return (path, None) if stat.S_ISREG(mode) else _spool(file, given)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageProblem(f"{given} cannot be read: {why}", reason="FILE_UNREADABLE") from None


def _spool(source: BinaryIO, given: str) -> tuple[Path, BinaryIO]:
    spooled = tempfile.NamedTemporaryFile(prefix="pentad-")  # noqa: SIM115  it lives as long as the InputFile
    while chunk := source.read(CHUNK_BYTES):
        if spooled.tell() + len(chunk) > MOST_BYTES:
            raise _too_large(given, f"over {sized(MOST_BYTES)}")
        spooled.write(chunk)
    spooled.flush()
    return Path(spooled.name), spooled  # type: ignore[return-value]


def _too_large(given: str, length: str) -> UsageProblem:
    return UsageProblem(
        f"{given} is too large: {length}, and at most {sized(MOST_BYTES)} can be taken",
        "Split it, or keep to the part that matters.",
        "FILE_TOO_LARGE",
    )


def _unique(name: str, taken: Sequence[str]) -> str:
    """`data.csv`, and for others of that name `data-2.csv`, …; within the contract's 255 characters."""
    stem, extension = os.path.splitext(name)
    stem, extension = stem[:200], extension[:50]
    candidate, number = f"{stem}{extension}", 1
    while candidate in taken:
        number += 1
        candidate = f"{stem}-{number}{extension}"
    return candidate


def content_type_of(name: str, beginning: bytes) -> str:
    """The media type: by the name's ending, unless that says text and the bytes do not; else by the bytes."""
    ending = os.path.splitext(name)[1].lower()
    by_name = _TYPES.get(ending) or mimetypes.guess_type(name)[0]
    textual = is_text(beginning)
    if by_name and (textual or not _means_text(by_name)):
        return f"{by_name}; charset=utf-8" if by_name.startswith("text/") and _is_utf8(beginning) else by_name
    if not textual:
        return BINARY
    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return "application/json"
    return _TEXT if _is_utf8(beginning) else "text/plain"


def is_text(beginning: bytes) -> bool:
    """Whether a file that begins so is text: no NUL bytes (save in UTF-16) and few control characters."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in beginning)
    return b"\0" not in beginning and control <= len(beginning) * 0.02


def _means_text(content_type: str) -> bool:
    return content_type.startswith("text/") or content_type in _TYPES.values()


def _is_utf8(beginning: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()  # incremental: the last character may be cut
    try:
        decoder.decode(beginning)
    except UnicodeDecodeError:
        return False
    return True
