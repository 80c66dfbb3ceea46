"""Artifacts in SQL: bytes in chunks of at most 1 MiB, held by the runs that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.orm import Session

from pentad.common.v1 import common_pb2
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import NotFound
from pentad_common.models import Artifact, ArtifactChunk, Run, RunArtifact
from pentad_orchestrator.run import NewArtifact

CHUNK_BYTES = 1 << 20


class ArtifactStore:
    """Artifacts of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, tenant: str, artifact_id: str, name: str, content_type: str, run_id: str) -> bool:
        """Makes room for an artifact, unseen before `finish`; false if there is no run to hold it."""

        def begin(session: Session) -> bool:
            if run_id and session.scalar(_run_query(tenant, run_id)) is None:
                return False
            row = {"id": artifact_id, "tenant_id": tenant, "name": name, "content_type": content_type}
            session.execute(insert(Artifact).values(**row))
            if run_id:
                use_artifacts(session, tenant, run_id, {artifact_id})
            return True

        return await self._database.run(begin, tenant=tenant)

    async def add_chunk(self, tenant: str, artifact_id: str, position: int, data: bytes) -> None:
        """Keeps the next bytes."""
        row = {"artifact_id": artifact_id, "tenant_id": tenant, "position": position, "data": data}
        await self._database.run(
            lambda session: session.execute(insert(ArtifactChunk).values(**row)), tenant=tenant
        )

    async def finish(self, tenant: str, artifact_id: str, size: int, sha256: str) -> None:
        """All bytes are there: from now on it can be seen."""
        statement = (
            update(Artifact)
            .where(Artifact.id == artifact_id, Artifact.tenant_id == tenant)
            .values(size=size, sha256=sha256, complete=True)
        )
        await self._database.run(lambda session: session.execute(statement), tenant=tenant)

    async def discard(self, tenant: str, artifact_id: str) -> None:
        """Removes what was begun."""
        statement = delete(Artifact).where(Artifact.id == artifact_id, Artifact.tenant_id == tenant)
        await self._database.run(lambda session: session.execute(statement), tenant=tenant)

    async def read(self, tenant: str, artifact_id: str) -> AsyncIterator[bytes]:
        """The bytes, in order, chunk by chunk. Raises NotFound ARTIFACT_NOT_FOUND."""
        await self._database.read(
            lambda session: find_artifacts(session, tenant, {artifact_id}), tenant=tenant
        )
        for position in count():
            data = await self._chunk(tenant, artifact_id, position)
            if data is None:
                return
            yield data

    async def _chunk(self, tenant: str, artifact_id: str, position: int) -> bytes | None:
        query = select(ArtifactChunk.data).where(
            ArtifactChunk.artifact_id == artifact_id,
            ArtifactChunk.tenant_id == tenant,
            ArtifactChunk.position == position,
        )
        return await self._database.read(lambda session: session.scalar(query), tenant=tenant)

    async def delete_orphans(self, seconds: float, limit: int = 100) -> int:
        """Removes artifacts older than this that no run uses; returns how many."""
        before = utcnow() - timedelta(seconds=seconds)
        used = select(RunArtifact.artifact_id).where(RunArtifact.artifact_id == Artifact.id).exists()
        orphans = select(Artifact.id).where(Artifact.create_time < before, ~used).limit(limit)

        def sweep(session: Session) -> int:
            ids = session.scalars(orphans).all()
            statement = delete(Artifact).where(Artifact.id.in_(ids))
            done: CursorResult[Any] = session.execute(statement)  # type: ignore[assignment]
            return done.rowcount

        return await self._database.run(sweep, tenant=ALL_TENANTS)


def _run_query(tenant: str, run_id: str) -> Any:
    return select(Run.id).where(Run.id == run_id, Run.tenant_id == tenant)


def find_artifacts(session: Session, tenant: str, ids: Iterable[str]) -> dict[str, common_pb2.Artifact]:
    """The artifacts by id. Raises NotFound ARTIFACT_NOT_FOUND if one is missing or incomplete."""
    wanted = set(ids)
    query = select(Artifact).where(
        Artifact.id.in_(wanted), Artifact.tenant_id == tenant, Artifact.complete.is_(True)
    )
    found = {
        row.id: common_pb2.Artifact(
            artifact_id=row.id, content_type=row.content_type, size=row.size, sha256=row.sha256
        )
        for row in session.scalars(query)
    }
    for missing in sorted(wanted - found.keys()):
        raise NotFound(
            "ARTIFACT_NOT_FOUND",
            f"artifact {missing!r} does not exist: it was not uploaded to the end, or not kept",
            artifact=missing,
        )
    return found


def use_artifacts(session: Session, tenant: str, run_id: str, ids: Iterable[str]) -> None:
    """The run holds these artifacts from now on; those that do not exist are passed over."""
    wanted = set(ids)
    there = select(Artifact.id).where(Artifact.id.in_(wanted), Artifact.tenant_id == tenant)
    held = select(RunArtifact.artifact_id).where(
        RunArtifact.run_id == run_id, RunArtifact.artifact_id.in_(wanted)
    )
    fresh = set(session.scalars(there)) - set(session.scalars(held))
    if fresh:
        rows = [{"tenant_id": tenant, "run_id": run_id, "artifact_id": item} for item in sorted(fresh)]
        session.execute(insert(RunArtifact), rows)


def insert_artifacts(session: Session, tenant: str, artifacts: Sequence[NewArtifact]) -> None:
    """Keeps artifacts whose bytes are at hand."""
    for item in artifacts:
        row = {
            "id": item.reference.artifact_id,
            "tenant_id": tenant,
            "name": item.name,
            "content_type": item.reference.content_type,
            "size": item.reference.size,
            "sha256": item.reference.sha256,
            "complete": True,
        }
        session.execute(insert(Artifact).values(**row))
        chunks = [
            {
                "artifact_id": item.reference.artifact_id,
                "tenant_id": tenant,
                "position": position,
                "data": item.data[start : start + CHUNK_BYTES],
            }
            for position, start in enumerate(range(0, len(item.data), CHUNK_BYTES))
        ]
        if chunks:
            session.execute(insert(ArtifactChunk), chunks)
