"""The publishes of one exchange: where each goes, what Redis is told of them, and what it answered."""

from __future__ import annotations

import json
from typing import Any

from pentad_bus.counters import Counters
from pentad_bus.limits import Limits
from pentad_bus.publisher import Target, queue_full, rate_exceeded, storage_exceeded
from pentad_bus.redis.chunks import DURABLE, FLEETING, ONCE, head
from pentad_bus.redis.drafts import NO_TARGETS, Draft, Frame, route
from pentad_bus.redis.settled import Blobs, Names, Settled
from pentad_bus.settlement import OVERFLOW
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError
from pentad_common.ids import new_id

MOST_IN_CHUNK = 256
MOST_CHUNK_BYTES = 128 * 1024


class _Group:
    """Messages that go the same way, as one chunk."""

    __slots__ = ("count", "draft", "parts", "size", "targets")

    def __init__(self, draft: Draft, targets: list[Target]) -> None:
        self.draft = draft
        """The first one: level and durability are all of theirs."""
        self.targets = targets
        self.parts: list[bytes] = []
        self.count = 0
        self.size = 0

    def row(self, names: Names, blobs: Blobs) -> list[Any]:
        """As `lua/publishing.lua` takes it."""
        draft = self.draft
        targets = [
            [names.place(inbox.name), _kind(draft, lasting), pattern]
            for inbox, pattern, lasting in self.targets
        ]
        due, expires = round(draft.due * 1000), round(draft.expires * 1000)
        place = blobs.place(b"".join(self.parts))
        return [place, self.count, self.size, draft.level, due, expires, int(not draft.once), targets]


class Publishing:
    """Made for the frames of an exchange; `write` and `resolve` take turns until Redis takes what is left."""

    def __init__(self, frames: list[Frame], tenant: Tenant, limits: Limits) -> None:
        self.frames = frames
        self._tenant = tenant
        self._limits = limits
        self._routed: list[tuple[Draft, list[Target]]] = []
        self._verdicts: dict[int, PentadError | None] = {}
        """By the draft's identity: why it is refused, or None for a duplicate."""
        self._doubts: list[tuple[Draft, PentadError]] = []
        self._twins: dict[int, Draft] = {}
        """Those of the same id as another of this exchange, which came before."""
        self._cut: dict[int, list[Target]] = {}
        """Copies for which there is no room."""
        self._settling: set[int] = set()
        self._settlers = [
            (frame, draft) for frame in frames for draft in frame.drafts if draft.settled is not None
        ]
        self.touched: set[str] = set()
        """The inboxes that get something."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._routed

    # ------------------------------------------------------------------------------------------ what is said

    def write(self, said: Settled, names: Names, blobs: Blobs) -> dict[str, Any]:
        """Its part of a request; `said` then has what these messages settle."""
        self._route()
        self._settle(said)
        groups, single = self._groups()
        rows = [group.row(names, blobs) for group in [*groups, *single]]
        into = _into([*groups, *single], names)
        self.touched = {names.list[row[0] - 1] for row in into}
        return {
            "pub": rows,
            "into": into,
            "bytes": sum(row[2] for row in into),
            "ids": [draft.id for draft, _ in self._routed],
            "doubts": [draft.id for draft, _ in self._doubts],
            "check": bool(self._doubts),
        }

    def overflow(self, ask: dict[str, Any], names: Names, blobs: Blobs, counters: Counters | None) -> None:
        """Adds to a request what becomes of copies without room; counts them if there are `counters`."""
        for draft, _ in self._routed if self._cut else ():
            for inbox, _, lasting in self._cut.get(id(draft), NO_TARGETS):
                if counters is not None and (draft.once or not lasting):
                    counters.dropped += 1
                elif counters is not None:
                    counters.dead[OVERFLOW] += 1
                elif draft.once or not lasting:
                    ask["drop"].append([names.place(inbox.name), 1])
                else:
                    told = [new_id(), inbox.name, OVERFLOW, "the inbox was full", 0, draft.created, ""]
                    ask["dead"].append([blobs.place(draft.body), json.dumps(told)])

    def _route(self) -> None:
        self._routed.clear()
        self._doubts.clear()
        tenant, verdicts, cut = self._tenant, self._verdicts, self._cut
        for frame in self.frames:
            for draft in frame.drafts:
                if verdicts and id(draft) in verdicts:
                    continue
                try:
                    if draft.refusal is not None:
                        raise draft.refusal
                    targets = route(tenant, draft)
                except PentadError as error:
                    self._doubts.append((draft, error))
                    continue
                if cut and id(draft) in cut:
                    gone = {inbox.name for inbox, _, _ in cut[id(draft)]}
                    targets = [target for target in targets if target[0].name not in gone]
                self._routed.append((draft, targets))

    def _settle(self, said: Settled) -> None:
        if not self._settlers:
            return
        wanted = {id(draft) for draft, _ in self._routed}
        for _, draft in self._settlers:
            if draft.settled is None or draft.settled.once:
                continue
            if id(draft) in wanted and id(draft) not in self._settling:
                said.settle(draft.settled)
                self._settling.add(id(draft))
            elif id(draft) not in wanted and id(draft) in self._settling:
                said.reopen(draft.settled)
                self._settling.discard(id(draft))

    def withdraw(self, said: Settled) -> list[tuple[Frame, Draft]]:
        """Takes back what these messages settle; which they were."""
        found = []
        for frame, draft in self._settlers:
            if id(draft) in self._settling and draft.settled is not None:
                said.reopen(draft.settled)
                found.append((frame, draft))
        self._settling.clear()
        return found

    def _groups(self) -> tuple[list[_Group], list[_Group]]:
        """Those that can share a chunk, and those that have a time of their own."""
        groups: list[_Group] = []
        single: list[_Group] = []
        open_: dict[Any, _Group] = {}
        seen: dict[str, Draft] = {}
        for order, (draft, targets) in enumerate(self._routed):
            if draft.id in seen:
                self._verdicts[id(draft)] = None
                self._twins[id(draft)] = seen[draft.id]
                continue
            seen[draft.id] = draft
            if draft.expires or draft.due:
                group = _Group(draft, targets)
                single.append(group)
            else:
                key = _key(draft, targets)
                found = open_.get(key)
                if found is None or found.count >= MOST_IN_CHUNK or found.size >= MOST_CHUNK_BYTES:
                    found = open_[key] = _Group(draft, targets)
                    groups.append(found)
                group = found
            body = draft.body
            group.parts += (head(len(body), order, draft.created, draft.expires), body)
            group.count += 1
            group.size += len(body)
        if len(seen) < len(self._routed):
            self._routed = [item for item in self._routed if id(item[0]) not in self._verdicts]
        return groups, single

    # ------------------------------------------------------------------------------------ what is answered

    def resolve(self, answer: dict[str, Any], names: list[str]) -> None:
        """Refuses what Redis says cannot be taken, as if one came after the other."""
        for place in answer.get("known") or ():
            self._verdicts[id(self._routed[place][0])] = None
        full = {names[row[0] - 1]: row[1:] for row in answer.get("full") or ()}
        tokens = float(answer["tokens"]) if "tokens" in answer else None
        use = answer.get("use")
        limits = self._limits
        for draft, targets in self._routed:
            if id(draft) in self._verdicts:
                continue
            error = self._room(draft, targets, full)
            cost = len(draft.body) * len(targets)
            if error is None and use is not None and use + cost > limits.tenant_queued_bytes:
                error = storage_exceeded(use, limits)
            if error is None and tokens is not None and tokens < 1:
                error = rate_exceeded((1 - tokens) / limits.tenant_messages_per_second, limits)
            if error is not None:
                self._verdicts[id(draft)] = error
                continue
            use = None if use is None else use + cost
            tokens = None if tokens is None else tokens - 1

    def _room(self, draft: Draft, targets: list[Target], full: dict[str, list[int]]) -> PentadError | None:
        for target in targets:
            row = full.get(target[0].name)
            if row is None or _fits(row, draft):
                continue
            if draft.recipient:
                return queue_full(target[0].name, row[0], row[1])
            self._cut.setdefault(id(draft), []).append(target)
        return None

    def report(self, answer: dict[str, Any]) -> list[Draft]:
        """Tells the frames; which were taken."""
        repeated = set(answer.get("doubts") or ())
        for place, (draft, refusal) in enumerate(self._doubts):
            self._verdicts[id(draft)] = None if place in repeated else refusal
        taken: list[Draft] = []
        verdicts = self._verdicts
        for frame in self.frames:
            for draft in frame.drafts:
                refused = bool(verdicts) and id(draft) in verdicts
                if refused:
                    twin = self._twins.get(id(draft), draft)
                    error = verdicts.get(id(twin))
                    frame.told(draft, error, error is None)
                else:
                    taken.append(draft)
                if draft.settled is not None:
                    frame.settled(draft, not refused)
            frame.done()
        return taken


def _key(draft: Draft, targets: list[Target]) -> Any:
    if len(targets) == 1:
        inbox, pattern, lasting = targets[0]
        return inbox.id, draft.level, draft.once, pattern, lasting
    return draft.level, draft.once, tuple((inbox.id, *rest) for inbox, *rest in targets)


def _kind(draft: Draft, lasting: bool) -> str:
    return (ONCE if draft.once else "" if not lasting else DURABLE) + ("" if lasting else FLEETING)


def _into(groups: list[_Group], names: Names) -> list[list[int]]:
    """What each inbox is to hold more: place, messages, bytes, delayed ones."""
    rows: dict[int, list[int]] = {}
    for group in groups:
        for inbox, _, _ in group.targets:
            place = names.place(inbox.name)
            row = rows.setdefault(place, [place, 0, 0, 0])
            row[1] += group.count
            row[2] += group.size
            row[3] += group.count if group.draft.due else 0
    return list(rows.values())


def _fits(row: list[int], draft: Draft) -> bool:
    """Whether there is room for one more. A row: messages, bytes, the bounds, delayed ones (-1: it does not
    drop the oldest).
    """
    messages, size, most, most_bytes, delayed = row
    if delayed >= 0:
        row[4] += int(draft.due > 0)
        return delayed < most
    if messages >= most or size + len(draft.body) > most_bytes:
        return False
    row[0] += 1
    row[1] += len(draft.body)
    return True
