"""Artifacts: files too large for a message, taken and given in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pentad.common.v1 import common_pb2
from pentad_common.errors import InvalidArgument
from pentad_common.ids import new_id
from pentad_orchestrator.store.artifacts import CHUNK_BYTES, ArtifactStore
from pentad_orchestrator.store.move import run_not_found


@dataclass(frozen=True, slots=True)
class Description:
    """What is to come. `size` 0 and `sha256` empty mean unknown."""

    name: str = ""
    content_type: str = ""
    size: int = 0
    sha256: str = ""
    run_id: str = ""


class Artifacts:
    """The artifacts of all tenants."""

    def __init__(self, store: ArtifactStore, most_bytes: int) -> None:
        self._store = store
        self._most_bytes = most_bytes

    async def put(
        self, tenant: str, description: Description, data: AsyncIterator[bytes]
    ) -> common_pb2.Artifact:
        """Keeps a file. Raises ARTIFACT_TOO_LARGE, CHECKSUM_MISMATCH, RUN_NOT_FOUND."""
        self._check_size(description.size)
        artifact_id = new_id()
        begun = await self._store.begin(
            tenant, artifact_id, description.name, description.content_type, description.run_id
        )
        if not begun:
            raise run_not_found(description.run_id)
        try:
            size, sha256 = await self._take(tenant, artifact_id, data)
            _check_sum(description, size, sha256)
        except BaseException:
            await self._store.discard(tenant, artifact_id)
            raise
        await self._store.finish(tenant, artifact_id, size, sha256)
        return common_pb2.Artifact(
            artifact_id=artifact_id, content_type=description.content_type, size=size, sha256=sha256
        )

    async def _take(self, tenant: str, artifact_id: str, data: AsyncIterator[bytes]) -> tuple[int, str]:
        digest, size, position = hashlib.sha256(), 0, 0
        async for chunk in _chunks(data):
            size += len(chunk)
            if size > self._most_bytes:
                # Read on for a while: an answer in the middle of an upload can be lost on its sender.
                if size < 2 * self._most_bytes:
                    continue
                break
            digest.update(chunk)
            await self._store.add_chunk(tenant, artifact_id, position, chunk)
            position += 1
        self._check_size(size)
        return size, digest.hexdigest()

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            most = self._most_bytes / (1 << 20)
            message = f"an artifact has at most {most:g} MiB; PENTAD_ARTIFACT_MAX_BYTES sets it"
            raise InvalidArgument("ARTIFACT_TOO_LARGE", message, limit=self._most_bytes)

    def get(self, tenant: str, artifact_id: str) -> AsyncIterator[bytes]:
        """The bytes, in pieces of at most 1 MiB. Raises NotFound ARTIFACT_NOT_FOUND."""
        return self._store.read(tenant, artifact_id)


async def _chunks(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of 1 MiB, the last one smaller: how clients cut them does not matter."""
    buffer = bytearray()
    async for piece in data:
        buffer += piece
        while len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
    if buffer:
        yield bytes(buffer)


def _check_sum(description: Description, size: int, sha256: str) -> None:
    if description.size and description.size != size:
        raise _mismatch(f"{description.size} bytes were announced, and {size} came")
    if description.sha256 and description.sha256.lower() != sha256:
        raise _mismatch(f"the bytes that came have the SHA-256 {sha256}, not {description.sha256}")


def _mismatch(message: str) -> InvalidArgument:
    return InvalidArgument("CHECKSUM_MISMATCH", f"{message}: send the file again")
