"""A ledger on paper: what was stored can be read back, as after a crash."""

from __future__ import annotations

from typing import Any

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.store.journal import Changes, InboxRow, MessageRow, Recovered, WaitingRow
from pentad_common.errors import PentadError
from tests.unit.bus.world import HandLedger


class PaperLedger(HandLedger):
    """Stores at once; `recover` says what a journal would."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[int, MessageRow] = {}
        self.entries: dict[tuple[int, int], list[Any]] = {}
        self.inboxes: dict[int, InboxRow] = {}
        self.dead: dict[str, str] = {}
        """Message id by dead letter id."""

    def store(self, error: PentadError | None = None) -> None:
        queue, self.queue = self.queue, []
        later, self.later = self.later, Changes()
        for changes in [later, *(commit.changes for commit in queue if error is None)]:
            self._apply(changes)
        for commit in queue:
            commit.done(error)

    def _apply(self, changes: Changes) -> None:
        for row in changes.inboxes:
            self.inboxes[row.id] = row
        for message in changes.messages:
            assert message[0] not in self.messages
            self.messages[message[0]] = message
        for seq, inbox_id, _, subscription, due in changes.entries:
            self.entries[seq, inbox_id] = [subscription, 0, due, []]
        for attempts, due, seq, inbox_id, history in changes.retried:
            if (seq, inbox_id) in self.entries:
                self.entries[seq, inbox_id][1:] = [attempts, due, history]
        for key in changes.settled:
            self.entries.pop(key, None)
        for letter in changes.dead:
            self.dead[letter.id] = letter.message_id
        for letter_id in changes.redriven:
            del self.dead[letter_id]
        for inbox_id in changes.removed:
            self.inboxes.pop(inbox_id, None)

    def recover(self) -> Recovered:
        """What is stored."""
        waiting = []
        for (seq, inbox_id), (subscription, attempts, due, history) in sorted(self.entries.items()):
            row = self.messages[seq]
            created = Message.FromString(row[3]).create_time.ToNanoseconds() / 1e9
            waiting.append(
                WaitingRow(
                    seq, inbox_id, row[2], subscription, attempts, due, row[1], created, row[3], history
                )
            )
        recent = [(row[2], row[1]) for row in self.messages.values()]
        return Recovered(list(self.inboxes.values()), waiting, recent, max(self.messages, default=0))
