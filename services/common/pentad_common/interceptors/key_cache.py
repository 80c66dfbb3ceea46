"""What is known about API keys, for less than a second: calls do not ask the database each time."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time

from pentad_common.errors import Unauthenticated
from pentad_common.keys import Key, KeyStore

SECONDS = 0.8
"""A revoked key is refused within a second: this, and the time to look it up."""

_MOST_ENTRIES = 4096


class KeyCache:
    """Answers of a KeyStore, refusals too, each kept for SECONDS. Concurrent questions share one look-up."""

    def __init__(self, keys: KeyStore, seconds: float = SECONDS) -> None:
        self._keys = keys
        self._seconds = seconds
        self._entries: dict[bytes, tuple[float, asyncio.Task[Key]]] = {}

    async def authenticate(self, text: str) -> Key:
        """The key that `text` is. Raises as `KeyStore.authenticate`."""
        name = hashlib.sha256(text.encode()).digest()  # no key in clear in memory
        now = time.monotonic()
        expires, lookup = self._entries.get(name) or (0.0, None)
        if lookup is None or expires <= now:
            self._make_room(now)
            lookup = asyncio.create_task(self._keys.authenticate(text))
            self._entries[name] = (now + self._seconds, lookup)
        try:
            return await asyncio.shield(lookup)
        except Unauthenticated as error:
            raise copy.copy(error) from None
        except Exception:
            self._entries.pop(name, None)
            raise

    def _make_room(self, now: float) -> None:
        if len(self._entries) < _MOST_ENTRIES:
            return
        self._entries = {name: entry for name, entry in self._entries.items() if entry[0] > now}
        if len(self._entries) >= _MOST_ENTRIES:
            self._entries.clear()
