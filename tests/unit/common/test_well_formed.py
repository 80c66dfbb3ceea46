"""What no service takes, whatever the contract says of the field; and errors about what was long."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_common.errors import InvalidArgument, to_status
from pentad_common.well_formed import flaws

NUL = "a\0b"


def filtered(seconds: int, nanos: int = 0) -> bus_pb2.MessageFilter:
    made = bus_pb2.MessageFilter()
    made.start_time.seconds, made.start_time.nanos = seconds, nanos
    return made


def lasting(seconds: int) -> registry_pb2.CreateKeyRequest:
    made = registry_pb2.CreateKeyRequest()
    made.ttl.seconds = seconds
    return made


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetRunRequest(run_id=NUL), "run_id"),
        (
            pb.CreateRunRequest(sequential=pb.Sequential(steps=[pb.Step(name=NUL)])),
            "sequential.steps[0].name",
        ),
        (pb.CreateRunRequest(labels={"a": NUL}), 'labels["a"]'),
        (pb.CreateRunRequest(labels={NUL: "a"}), "labels"),
        (registry_pb2.AgentSelector(tags=["a", NUL]), "tags[1]"),
        (bus_pb2.ListMessagesRequest(filter=filtered(10**18)), "filter.start_time"),
        (bus_pb2.ListMessagesRequest(filter=filtered(0, -1)), "filter.start_time"),
        (lasting(2**63 - 1), "ttl"),
        (lasting(-(2**63)), "ttl"),
    ],
)
def test_what_cannot_be_kept_is_found(request_: Message, field: str) -> None:
    """NUL in text, times outside of the calendar and endless spans, wherever they are in a request."""
    [(found, _)] = flaws(request_)
    assert found == field


def test_what_is_well_formed_passes() -> None:
    """Bytes may hold anything; other text, times and spans are as they were."""
    content = common_pb2.Content(content_type="text/plain", data=b"\0")
    made = pb.CreateRunRequest(instruction="é\n", inputs=[common_pb2.Part(content=content)])
    made.limits.deadline.FromSeconds(3600)
    assert list(flaws(made)) == list(flaws(bus_pb2.ListMessagesRequest(filter=filtered(1_700_000_000)))) == []


@pytest.mark.parametrize("text", ["x" * 5000, "é\u202e" * 5000, "😀" * 100_000])
def test_an_error_fits_into_headers(text: str) -> None:
    """However long what it repeats is, an error arrives with its reason: gRPC takes 8 KiB of headers."""
    values: dict[str, Any] = dict.fromkeys("abcdefghij", text)
    error = InvalidArgument("X_INVALID", f"no {text}", violations=[(text, text)] * 20, **values)
    status = to_status(error)
    message = sum(
        1 if " " <= character <= "~" else 3 * len(character.encode()) for character in status.message
    )
    assert message + status.ByteSize() * 4 / 3 < 7000
    assert status.message.startswith("no ") and status.message.endswith("…")


def test_an_error_of_usual_length_is_whole() -> None:
    """What fits is not cut."""
    status = to_status(InvalidArgument("X_INVALID", "é" * 150, thing="y" * 80))
    assert status.message == "é" * 150
