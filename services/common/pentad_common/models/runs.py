"""Projects, workflows, runs and what happened in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pentad_common.clock import utcnow
from pentad_common.models.base import Base, BigInt, Created, Keyed, Owned, choice

RUN_STATES = ("PENDING", "RUNNING", "WAITING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED")


class Project(Keyed, Owned, Created, Base):
    """A name under which runs are kept together."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(255))

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class Workflow(Keyed, Owned, Created, Base):
    """One version of a named plan; `plan` is a serialised `orchestrator.v1.Plan`, as the user wrote it."""

    __tablename__ = "workflows"

    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    description: Mapped[str] = mapped_column(Text, default="")
    plan: Mapped[bytes] = mapped_column(LargeBinary)
    request_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("tenant_id", "name", "version"),
        UniqueConstraint("tenant_id", "request_id"),
    )


class Run(Keyed, Owned, Created, Base):
    """A run.

    `header` (a `Run` with what never changes and is small), `inputs` (a `StepOutput` whose outputs are the
    inputs) and `plan` are serialised messages and do not change; `state` is the engine's own JSON. `epoch`
    counts the changes: who writes must have seen the newest. At `wake_time` somebody must look at the run;
    None means that only an event can move it. `sequence` is that of its newest event.
    """

    __tablename__ = "runs"

    project_id: Mapped[str] = mapped_column(String(36), ForeignKey("projects.id", ondelete="CASCADE"))
    request_id: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(choice(*RUN_STATES, name="status"), default="PENDING")
    strategy: Mapped[str] = mapped_column(String(32))
    header: Mapped[bytes] = mapped_column(LargeBinary)
    inputs: Mapped[bytes] = mapped_column(LargeBinary)
    plan: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[bytes] = mapped_column(LargeBinary)
    result: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[dict[str, Any] | None]
    usage: Mapped[dict[str, Any] | None]
    degraded: Mapped[bool] = mapped_column(Boolean, default=False)
    missing: Mapped[list[str]] = mapped_column(default=list)
    sequence: Mapped[int] = mapped_column(BigInt, default=0)
    epoch: Mapped[int] = mapped_column(BigInt, default=0)
    wake_time: Mapped[datetime | None]
    update_time: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id"),
        Index(None, "tenant_id", "id"),
        Index(None, "wake_time"),
        Index(None, "end_time"),
    )


class InRun:
    """Belongs to a run and goes with it."""

    run_id: Mapped[str] = mapped_column(String(36), ForeignKey("runs.id", ondelete="CASCADE"))


class AgentRun(Keyed, Owned, InRun, Created, Base):
    """One attempt of an agent at a step; `record` is a serialised `pentad.orchestrator.v1.AgentRun`."""

    __tablename__ = "agent_runs"

    step: Mapped[str] = mapped_column(String(128))
    agent: Mapped[str] = mapped_column(String(128))
    attempt: Mapped[int] = mapped_column(default=1)
    status: Mapped[str] = mapped_column(choice(*RUN_STATES, name="status"), default="PENDING")
    reason: Mapped[str | None] = mapped_column(String(128))
    record: Mapped[bytes] = mapped_column(LargeBinary)
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("run_id", "step", "attempt"), Index(None, "tenant_id", "agent"))


class RunEvent(Owned, InRun, Created, Base):
    """What happened, in order: `sequence` counts from 1 in each run; `data` is a `RunEvent`."""

    __tablename__ = "run_events"

    run_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    sequence: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(64))
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Artifact(Keyed, Owned, Created, Base):
    """A file too large for a message; its bytes are in chunks. Removed some time after no run uses it."""

    __tablename__ = "artifacts"

    name: Mapped[str] = mapped_column(String(255), default="")
    content_type: Mapped[str] = mapped_column(String(255), default="")
    size: Mapped[int] = mapped_column(BigInt, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    complete: Mapped[bool] = mapped_column(Boolean, default=False)

    __table_args__ = (Index(None, "tenant_id", "create_time"),)


class ArtifactChunk(Owned, Base):
    """A piece of a file, at most 1 MiB; `position` counts from 0."""

    __tablename__ = "artifact_chunks"

    artifact_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class RunArtifact(Owned, InRun, Base):
    """A run uses an artifact: it stays as long as one does."""

    __tablename__ = "run_artifacts"

    run_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    artifact_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class OutboxMessage(Owned, InRun, Base):
    """A bus message that a committed change of a run owes; published, then deleted, in order of `seq`."""

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    message: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index(None, "tenant_id", "seq"),)
