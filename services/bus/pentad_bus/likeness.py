"""Messages that differ from one taken before in their id and data alone: what was found out about it holds
for them, too.

An encoded message is its fields one behind the other, each with its length. If two are equally long, and
equal but for the bytes of id and data, then all their other fields are equal, and nothing need be decoded.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message

Item = tuple[int, bytes, int]
"""A publish: seq, encoded message, tag of the delivery that it settles or 0."""

FEW = 4
"""A frame with fewer messages is as quick without."""
_ID = 2
"""Where an id's bytes begin: behind its tag and its length."""
_LONGEST_ID = 64
_MOST_BYTES = 64 * 1024
"""Of a message; to decode a larger one is cheap beside copying it."""
_FIRST_LOOK = 8
_LAST_LOOK = 1024


class Likeness:
    """What the messages have in common that are like one which was admitted: for one recipient, at once and
    without an end.
    """

    __slots__ = (
        "_after",
        "_before",
        "_end",
        "_head",
        "_id_end",
        "_size",
        "_start",
        "durable",
        "level",
        "recipient",
        "type",
    )

    def __init__(self, message: Message, body: bytes, start: int) -> None:
        self._size = len(body)
        self._id_end = _ID + len(message.id)
        self._start = start
        self._end = start + len(message.payload.data)
        self._head = body[:_ID]
        self._before = body[self._id_end : start]
        self._after = body[self._end :]
        self.type = message.type
        self.recipient = message.recipient
        self.level = (message.priority or 2) - 1
        """Priority, 0 to 3."""
        self.durable = message.durability != DURABILITY_BEST_EFFORT

    def run(self, items: Sequence[Item], first: int) -> list[bytes]:
        """The messages from item `first` on that are alike and settle nothing, up to one that is not."""
        size, id_end, start, end = self._size, self._id_end, self._start, self._end
        head, before, after = self._head, self._before, self._after
        found = []
        for place in range(first, len(items)):
            _, body, tag = items[place]
            if (
                tag
                or len(body) != size
                or body[id_end:start] != before
                or body[:_ID] != head
                or body[end:] != after
            ):
                break
            found.append(body)
        return found

    def ids(self, bodies: Sequence[bytes]) -> list[str]:
        """The ids of such messages. Raises UnicodeDecodeError if one is not a text."""
        end = self._id_end
        return [body[_ID:end].decode() for body in bodies]


class Likenesses:
    """Which likeness a connection's messages have of late. Where they have none, it is looked for ever more
    seldom.
    """

    __slots__ = ("_left", "_wait", "latest")

    def __init__(self) -> None:
        self.latest: Likeness | None = None
        self._wait = self._left = _FIRST_LOOK

    def found(self, count: int) -> None:
        """So many messages were like the latest."""
        if count >= _FIRST_LOOK:
            self._wait = self._left = _FIRST_LOOK

    def missed(self, body: bytes) -> None:
        """A message was admitted that is not like the latest."""
        self._left -= 1
        if not self._left:
            self._left = self._wait = min(2 * self._wait, _LAST_LOOK)
            self.latest = likeness(body)


def likeness(body: bytes) -> Likeness | None:
    """What is common to messages like this one, which was admitted; None if it is not as they must be."""
    message = Message.FromString(body)
    message_id, data = message.id, message.payload.data
    if (
        not message.recipient
        or not message_id.isascii()
        or not 0 < len(message_id) <= _LONGEST_ID
        or not data
        or len(body) > _MOST_BYTES
        or message.HasField("ttl")
        or message.HasField("delay")
    ):
        return None
    start = body.rfind(data)
    end, id_end = start + len(data), _ID + len(message_id)
    # The decoder has the last word on which bytes are the id, and which the data.
    message.id = ("1" if message_id[0] == "0" else "0") * len(message_id)
    message.payload.data = bytes([data[0] ^ 1]) * len(data)
    other = body[:_ID] + message.id.encode() + body[id_end:start] + message.payload.data + body[end:]
    try:
        found = start >= id_end and Message.FromString(other) == message
    except DecodeError:
        return None
    return Likeness(Message.FromString(body), body, start) if found else None
