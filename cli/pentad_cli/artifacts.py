"""Outputs that were too large for a message, brought back."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import TYPE_CHECKING

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2

if TYPE_CHECKING:
    from pentad_client import Pentad

_MOST_BYTES = 32 * 1024 * 1024


async def fetched(pentad: Pentad, run: orchestrator_pb2.Run) -> orchestrator_pb2.Run:
    """The run with its result's and outputs' bytes in it; what is larger than 32 MB stays where it is."""
    await _fetch(pentad, run.result)
    for attempt in run.agent_runs:
        await _fetch(pentad, attempt.outputs)
    return run


async def _fetch(pentad: Pentad, parts: MutableSequence[common_pb2.Part]) -> None:
    for part in parts:
        if part.HasField("artifact") and part.artifact.size <= _MOST_BYTES:
            kept = part.artifact
            data = await pentad.orchestrator.get_artifact(kept.artifact_id)
            part.content.CopyFrom(common_pb2.Content(content_type=kept.content_type, data=data))
