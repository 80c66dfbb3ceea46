"""Pieces that are too large for messages: fetched when asked for, put away when an agent makes one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from pentad.common.v1 import common_pb2
from pentad_agents.output import Output
from pentad_agents.task import Fetch, Part
from pentad_client.errors import Unavailable
from pentad_client.orchestrator import OrchestratorClient

MAX_INLINE = 256 * 1024  # bytes of one piece in a message
MAX_INLINE_TOTAL = 2 * 1024 * 1024
ATTEMPTS = 4


class Artifacts:
    """The large pieces of one task: what was fetched is kept in a file until the task ends."""

    def __init__(self, client: OrchestratorClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._files: dict[str, Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = asyncio.Lock()

    def fetch(self, artifact: common_pb2.Artifact) -> Fetch:
        """How to open an artifact. Raises NotFound ARTIFACT_NOT_FOUND, Unavailable."""

        async def open_it() -> BinaryIO:
            async with self._lock:
                if artifact.artifact_id not in self._files:
                    self._files[artifact.artifact_id] = await self._download(artifact.artifact_id)
            return self._files[artifact.artifact_id].open("rb")

        return open_it

    async def _download(self, artifact_id: str) -> Path:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="pentad-task-")
        path = Path(self._folder.name) / str(len(self._files))
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._write(path, artifact_id)
            except Unavailable:
                await asyncio.sleep(0.25 * 2**attempt)
        return await self._write(path, artifact_id)

    async def _write(self, path: Path, artifact_id: str) -> Path:
        with path.open("wb") as file:
            async for piece in self._client.read_artifact(artifact_id):
                file.write(piece)
        return path

    async def encode(self, pieces: Iterable[Output | Part]) -> list[common_pb2.Part]:
        """The pieces for a message; what is large is put away first."""
        parts: list[common_pb2.Part] = []
        total = 0
        for piece in pieces:
            if isinstance(piece, Part) and piece.artifact is not None:
                parts.append(common_pb2.Part(name=piece.name, artifact=piece.artifact))
                continue
            kind, data = (
                piece.encode() if isinstance(piece, Output) else (piece.content_type, await piece.bytes())
            )
            total += len(data)
            if len(data) > MAX_INLINE or total > MAX_INLINE_TOTAL:
                total -= len(data)
                kept = await self._client.put_artifact(
                    data, name=piece.name, content_type=kind, run_id=self._run_id
                )
                parts.append(common_pb2.Part(name=piece.name, artifact=kept))
            else:
                content = common_pb2.Content(content_type=kind, data=data)
                parts.append(common_pb2.Part(name=piece.name[:255], content=content))
        return parts

    def close(self) -> None:
        """Forgets what was fetched."""
        if self._folder:
            self._folder.cleanup()
