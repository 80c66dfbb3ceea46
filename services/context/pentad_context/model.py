"""Entries, where they are, and what can be done to them. Plain values; times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

MOST_VALUE_BYTES = 1024 * 1024
TENANT_SCOPE = "tenant"


class Address(NamedTuple):
    """Where an entry is. A prefix is one whose `key` is the start of keys."""

    scope: str
    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its place in history; `deleted`: a removal, without data."""

    address: Address
    content_type: str
    data: bytes
    revision: int
    create_revision: int
    version: int
    writer: str
    update_time: datetime
    expire_time: datetime | None = None
    deleted: bool = False

    def expired(self, now: datetime) -> bool:
        """Whether it has ended by itself."""
        return self.expire_time is not None and self.expire_time <= now


class Reducer(Enum):
    """How a write meets the value that is there."""

    REPLACE = "replace"
    APPEND = "append"
    MERGE = "merge"
    INCREMENT = "increment"


@dataclass(frozen=True, slots=True)
class Put:
    """Writes an entry. `ttl` None: until it is removed."""

    address: Address
    content_type: str
    data: bytes
    ttl: timedelta | None = None
    reducer: Reducer = Reducer.REPLACE


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes an entry."""

    address: Address


@dataclass(frozen=True, slots=True)
class Get:
    """Reads an entry."""

    address: Address


Op = Put | Delete | Get


class Condition(Enum):
    """What a compare looks at."""

    REVISION = "revision"
    VERSION = "version"
    DATA = "data"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition on an entry: revision and version are 0 where there is none."""

    address: Address
    condition: Condition
    value: int | bytes | bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """When every compare holds, `then`; otherwise `otherwise`."""

    compares: tuple[Compare, ...] = ()
    then: tuple[Op, ...] = ()
    otherwise: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did.

    `results`: one an op, None where there is no entry. `revision`: the tenant's after it. `changes`: in
    order. `failed`: the first compare that did not hold.
    """

    results: tuple[Entry | None, ...]
    revision: int
    changes: tuple[Entry, ...] = ()
    failed: Compare | None = None
    succeeded: bool = True


class Position(NamedTuple):
    """A place in the tenant's changes: after the change numbered `ordinal` of a revision."""

    revision: int
    ordinal: int


END = 2**31 - 1
"""The ordinal after all changes of a revision."""
