"""Frames with opaque messages have the same wire format as the contract's."""

from __future__ import annotations

from pentad.bus.v1 import bus_pb2
from pentad_client.frames import ConnectRequest, ConnectResponse


def test_a_request_keeps_its_messages_as_they_came() -> None:
    """The bytes of a message are those that the client wrote, fields of a later version included."""
    message = bus_pb2.Message(recipient="writer", headers={"a": "b"}).SerializeToString() + b"\xf8\x7f\x01"
    frame = ConnectRequest()
    frame.batch.publishes.add(seq=1, message=message, settles=7)
    frame.batch.acks.extend([1, 2])
    again = ConnectRequest.FromString(frame.SerializeToString())
    assert again.batch.publishes[0].message == message
    seen = bus_pb2.ConnectRequest.FromString(frame.SerializeToString())
    assert seen.batch.publishes[0].message.recipient == "writer"
    assert list(seen.batch.acks) == [1, 2]


def test_a_response_reads_as_the_contract_says() -> None:
    """What the bus writes is a ConnectResponse to every client."""
    message = bus_pb2.Message(id="m1", recipient="writer")
    frame = ConnectResponse()
    frame.batch.deliveries.add(tag=3, attempt=2, message=message.SerializeToString(), subscription="a.*")
    frame.batch.confirmed_up_to = 9
    seen = bus_pb2.ConnectResponse.FromString(frame.SerializeToString())
    delivery = seen.batch.deliveries[0]
    assert (delivery.tag, delivery.attempt, delivery.message, delivery.subscription) == (3, 2, message, "a.*")
    assert seen.batch.confirmed_up_to == 9
