"""Files that a run is started with."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pentad_cli.failure import UsageProblem
from pentad_cli.files import MOST_BYTES, check_files, content_type_of


@pytest.mark.parametrize(
    ("name", "beginning", "expected"),
    [
        ("data.csv", b"a,b\n1,2\n", "text/csv; charset=utf-8"),
        ("DATA.CSV", b"\xef\xbb\xbfa;b\n", "text/csv; charset=utf-8"),
        ("old.csv", "größe;1".encode("latin-1"), "text/csv"),
        ("report.md", b"# Title", "text/markdown; charset=utf-8"),
        ("data.json", b'{"a": 1}', "application/json"),
        ("lines.jsonl", b"{}\n{}", "application/jsonl"),
        ("notes", b"just words", "text/plain; charset=utf-8"),
        ("notes", b' {"a": 1}', "application/json"),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0", "image/png"),
        ("lies.csv", b"PK\x03\x04\0\0\0", "application/octet-stream"),
        ("wide.txt", "words".encode("utf-16"), "text/plain"),
        ("blob", bytes(range(256)), "application/octet-stream"),
    ],
)
def test_tells_the_type(name: str, beginning: bytes, expected: str) -> None:
    """The name's ending says the type, unless it says text and the bytes do not."""
    assert content_type_of(name, beginning) == expected


def test_a_character_cut_at_the_end_is_no_reason_for_doubt(tmp_path: Path) -> None:
    """UTF-8 is recognised though what is looked at ends in the middle of a character."""
    file = tmp_path / "long.txt"
    file.write_bytes(b"x" * (64 * 1024 - 1) + "é".encode() * 10)
    assert check_files([str(file)])[0].content_type == "text/plain; charset=utf-8"


def test_reads_files_in_chunks(tmp_path: Path) -> None:
    """A file is read in order, in pieces that fit into a frame."""
    file = tmp_path / "big.bin"
    content = os.urandom(3 * 1024 * 1024 + 5)
    file.write_bytes(content)
    [found] = check_files([str(file)])
    chunks = list(found.chunks())
    assert found.size == len(content)
    assert [len(chunk) for chunk in chunks] == [1024 * 1024] * 3 + [5]
    assert b"".join(chunks) == content


def test_names_stay_apart(tmp_path: Path) -> None:
    """Files of the same name in different folders get different names."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text("x")
    found = check_files([str(tmp_path / "a" / "data.csv"), str(tmp_path / "b" / "data.csv")])
    assert [file.name for file in found] == ["data.csv", "data-2.csv"]


def test_takes_what_comes_through_a_pipe(tmp_path: Path) -> None:
    """A named pipe, as of `<(command)`, is a file like any other."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a,b\n1,2\n",))
    writer.start()
    [found] = check_files([str(pipe)])
    writer.join()
    assert (found.read(), found.content_type) == (b"a,b\n1,2\n", "text/csv; charset=utf-8")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "FILE_UNREADABLE"),
        (lambda path: path.mkdir(), "FILE_IS_FOLDER"),
        (lambda path: path.touch(), "FILE_EMPTY"),
        (lambda path: path.symlink_to(path), "FILE_UNREADABLE"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), MOST_BYTES + 1), "FILE_TOO_LARGE"),
    ],
    ids=["missing", "folder", "empty", "circle", "large"],
)
def test_refuses_what_cannot_be_worked_on(tmp_path: Path, make: object, reason: str) -> None:
    """Each mistake is told apart, names the file and is a matter of usage."""
    path = tmp_path / "given.csv"
    make(path)  # type: ignore[operator]
    with pytest.raises(UsageProblem, match=r"given\.csv") as problem:
        check_files([str(path)])
    assert (problem.value.reason, problem.value.code) == (reason, 2)
