"""Which parts travel inside messages, and which become artifacts: messages may not outgrow gRPC."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from pentad.common.v1 import common_pb2
from pentad_common.errors import InvalidArgument
from pentad_common.ids import new_id
from pentad_orchestrator.run import NewArtifact

MOST_PART_BYTES = 256 * 1024
MOST_REQUEST_BYTES = 2 * 1024 * 1024
SMALL_BYTES = 1024
"""Parts up to this size stay inline whatever there is."""


def check_inputs(parts: Iterable[common_pb2.Part]) -> None:
    """Raises InvalidArgument INPUT_TOO_LARGE, PART_WITHOUT_SOURCE for what a request may not carry."""
    total = 0
    for position, part in enumerate(parts):
        field = f"inputs[{position}]"
        if part.WhichOneof("source") is None:
            message = f"input {part.name or position + 1!r} has neither content nor an artifact"
            raise InvalidArgument("PART_WITHOUT_SOURCE", message, violations=[(field, message)])
        size = len(part.content.data)
        total += size
        if size > MOST_PART_BYTES or total > MOST_REQUEST_BYTES:
            raise _too_large(part.name or str(position + 1), field)


def _too_large(name: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "INPUT_TOO_LARGE",
        f"input {name!r} is too large for the request (256 KiB each, 2 MiB in all): upload it with "
        "PutArtifact and refer to the artifact",
        violations=[(field, "at most 256 KiB each and 2 MiB in all; larger ones as artifacts")],
    )


def spill(
    parts: Iterable[common_pb2.Part], used: int, budget: int
) -> tuple[tuple[common_pb2.Part, ...], int, list[NewArtifact]]:
    """The parts, those that do not fit as artifacts; the bytes inline then (`used` before); the artifacts."""
    kept, artifacts = [], []
    for part in parts:
        size = len(part.content.data)
        fits = size <= SMALL_BYTES or (size <= MOST_PART_BYTES and used + size <= budget)
        if part.WhichOneof("source") != "content" or fits:
            used += size
            kept.append(part)
            continue
        artifact = _artifact(part)
        artifacts.append(artifact)
        kept.append(common_pb2.Part(name=part.name, artifact=artifact.reference))
    return tuple(kept), used, artifacts


def _artifact(part: common_pb2.Part) -> NewArtifact:
    data = part.content.data
    reference = common_pb2.Artifact(
        artifact_id=new_id(),
        content_type=part.content.content_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return NewArtifact(reference, part.name, data)


def artifact_ids(parts: Iterable[common_pb2.Part]) -> set[str]:
    """Ids of the artifacts that the parts refer to."""
    return {part.artifact.artifact_id for part in parts if part.WhichOneof("source") == "artifact"}
