"""Takes files along into a run: small ones in the request, large ones as artifacts, with progress."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pentad.common.v1 import common_pb2
from pentad_cli.files import InputFile
from pentad_cli.terminal import err, err_is_live, say
from pentad_cli.units import size, span
from pentad_client.errors import Unavailable

if TYPE_CHECKING:
    from pentad_client import Pentad

INLINE_BYTES = 256 * 1024
_INLINE_TOTAL_BYTES = 1024 * 1024
_WAITS = (0.5, 1.0, 2.0)
_WORTH_A_WORD_BYTES = 4 * 1024 * 1024

Advance = Callable[[int], None]


async def to_parts(pentad: Pentad, files: Sequence[InputFile], quiet: bool) -> list[common_pb2.Part]:
    """The files as parts of a request; those that are too large to travel in it are uploaded now."""
    parts, inline = [], 0
    for file in files:
        if file.size <= INLINE_BYTES and inline + file.size <= _INLINE_TOTAL_BYTES:
            inline += file.size
            content = common_pb2.Content(content_type=file.content_type, data=file.read())
            parts.append(common_pb2.Part(name=file.name, content=content))
        else:
            parts.append(common_pb2.Part(name=file.name, artifact=await _upload(pentad, file, quiet)))
    return parts


async def _upload(pentad: Pentad, file: InputFile, quiet: bool) -> common_pb2.Artifact:
    """Uploads the file, from the start again if the orchestrator was away for a moment."""
    for wait in _WAITS:
        try:
            return await _upload_once(pentad, file, quiet)
        except Unavailable:
            await asyncio.sleep(wait)
    return await _upload_once(pentad, file, quiet)


async def _upload_once(pentad: Pentad, file: InputFile, quiet: bool) -> common_pb2.Artifact:
    with _progress(file, quiet) as advance:

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in file.chunks():
                yield chunk
                advance(len(chunk))

        return await pentad.orchestrator.put_artifact(
            chunks(), name=file.name, content_type=file.content_type
        )


@contextlib.contextmanager
def _progress(file: InputFile, quiet: bool) -> Iterator[Advance]:
    """A bar on a terminal, two lines elsewhere, nothing for what takes no time."""
    if quiet or file.size < _WORTH_A_WORD_BYTES:
        yield lambda count: None
    elif err_is_live():
        with _bar(file) as advance:
            yield advance
    else:
        began = time.monotonic()
        say(f"uploading {file.name} ({size(file.size)})")
        yield lambda count: None
        say(f"uploaded {file.name} in {span(time.monotonic() - began)}")


@contextlib.contextmanager
def _bar(file: InputFile) -> Iterator[Advance]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("uploading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(file.name, total=file.size)
        yield lambda count: bar.advance(task, count)
