"""The tables, by area. Importing this package loads them all, as a mapper with foreign keys across areas
needs.
"""

from __future__ import annotations

from pentad_common.models.audit import AuditEvent
from pentad_common.models.base import Base
from pentad_common.models.bus import BusMessage, DeadLetter, Inbox, LogSegment, QueueEntry
from pentad_common.models.context import ContextEntry, ContextHistory, ContextRequest, ContextRevision
from pentad_common.models.identity import ApiKey, Tenant
from pentad_common.models.llm import LlmBatch, LlmBatchItem, LlmCall
from pentad_common.models.registry import Agent
from pentad_common.models.runs import (
    AgentRun,
    Artifact,
    ArtifactChunk,
    OutboxMessage,
    Project,
    Run,
    RunArtifact,
    RunEvent,
    Workflow,
)

__all__ = [
    "Agent",
    "AgentRun",
    "ApiKey",
    "Artifact",
    "ArtifactChunk",
    "AuditEvent",
    "Base",
    "BusMessage",
    "ContextEntry",
    "ContextHistory",
    "ContextRequest",
    "ContextRevision",
    "DeadLetter",
    "Inbox",
    "LlmBatch",
    "LlmBatchItem",
    "LlmCall",
    "LogSegment",
    "OutboxMessage",
    "Project",
    "QueueEntry",
    "Run",
    "RunArtifact",
    "RunEvent",
    "Tenant",
    "Workflow",
]
