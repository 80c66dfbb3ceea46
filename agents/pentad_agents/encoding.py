"""Bytes to text, whatever a user brings: charsets, byte order marks, and files that are no text at all."""

from __future__ import annotations

import codecs
import re

from pentad_agents.errors import AgentError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)
_MAGIC = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP archive (an Excel, Word or similar file)",
    b"\x1f\x8b": "gzip-compressed",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Office file",
}
# Control characters that text has no use for.
_CONTROLS = bytes(set(range(32)) - {7, 8, 9, 10, 12, 13, 27})


def sniff(sample: bytes, content_type: str = "", name: str = "", *, complete: bool = True) -> str:
    """The Python codec to read text with, judged by its beginning.

    `complete`: whether `sample` is all there is; if not, a character may be cut at its end.
    Raises AgentError BINARY_INPUT if it is no text.
    """
    what = name or "the input"
    for magic, kind in _MAGIC.items():
        if sample.startswith(magic):
            raise AgentError(
                "BINARY_INPUT", f"{what} is {kind}, not text; export it as CSV, JSON or text first"
            )
    for mark, codec in _BOMS:
        if sample.startswith(mark):
            return codec
    if wide := _wide(sample):
        return wide
    if b"\0" in sample or len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) * 0.02:
        raise AgentError("BINARY_INPUT", f"{what} is binary, not text; export it as CSV, JSON or text first")
    return _declared(content_type) or ("utf-8" if _is_utf8(sample, complete) else "cp1252")


def decode(data: bytes, content_type: str = "", name: str = "", *, complete: bool = True) -> str:
    """All of `data` as text; `complete` as of sniff. What a codec cannot read becomes U+FFFD. Raises
    AgentError BINARY_INPUT."""
    text = data.decode(sniff(data, content_type, name, complete=complete), "replace")
    return text.removeprefix("\ufeff")


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark: Latin text has a zero in every other byte."""
    head = sample[:4096]
    if len(head) >= 8 and len(head) % 2 == 0:
        even, odd = head[::2].count(0), head[1::2].count(0)
        half = len(head) // 2
        if odd > half * 0.8 and even == 0:
            return "utf-16-le"
        if even > half * 0.8 and odd == 0:
            return "utf-16-be"
    return ""


def _declared(content_type: str) -> str:
    match = _CHARSET.search(content_type)
    if not match or match[1].lower() in ("utf-8", "utf8", "us-ascii"):
        return ""
    try:
        return codecs.lookup(match[1]).name
    except LookupError:
        return ""


def _is_utf8(sample: bytes, complete: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=complete)
    except UnicodeDecodeError:
        return False
    return True
