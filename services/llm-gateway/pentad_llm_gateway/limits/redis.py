"""Counters in Redis, shared by all gateways. A gateway that dies leaves nothing reserved."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pentad_common.errors import Unavailable
from pentad_llm_gateway.limits.counters import Claim, Level, Refused, Seeds, Spent, Verdict, as_json
from pentad_llm_gateway.redis_client import OUTAGES, RedisClient, Script, tenant_prefix

_SCRIPT = Script(Path(__file__).with_name("counters.lua").read_text())


class RedisCounters:
    """See Counters. The clock is Redis' own."""

    def __init__(self, client: RedisClient, lease: float = 30.0) -> None:
        self._client = client
        self.lease: float | None = lease
        self._lease = round(lease * 1000)
        self._ahead = 0.0
        """Seconds that Redis' clock is ahead of this machine's."""

    def now(self) -> float:
        """See Counters."""
        return time.time() + self._ahead

    async def reserve(self, tenant: str, id: str, claims: Sequence[Claim], seeds: Seeds) -> Verdict:
        """See Counters."""
        answer = await self._run(tenant, "reserve", id, self._lease, _claims(claims), json.dumps(dict(seeds)))
        return Verdict(
            now=answer["now"] / 1000,
            refused=[_refused(*found) for found in answer.get("refused", ())],
            unknown=answer.get("unknown", ()),
            outside=answer.get("outside", False),
        )

    async def settle(self, tenant: str, id: str, claims: Sequence[Claim], spent: Spent) -> None:
        """See Counters."""
        await self._run(tenant, "settle", id, _spent(spent))

    async def renew(self, tenant: str, ids: Sequence[str], *, touch: bool) -> None:
        """See Counters."""
        await self._run(tenant, "renew", self._lease, int(touch), json.dumps(list(ids)))

    async def levels(self, tenant: str) -> list[Level]:
        """See Counters."""
        answer = await self._run(tenant, "levels")
        found = (Level(key, used, held, reset / 1000 or None) for key, used, held, reset in answer["levels"])
        return [level for level in found if level.used or level.held]

    async def close(self) -> None:
        """See Counters; the client is closed by whoever opened it."""

    async def _run(self, tenant: str, *arguments: Any) -> Any:
        try:
            found = await self._client.run(_SCRIPT, f"{tenant_prefix(tenant)}limits:", *arguments)
        except OUTAGES as error:
            self._client.note(error)
            raise unavailable() from None
        answer = json.loads(found)
        self._ahead = answer["now"] / 1000 - time.time()
        return answer


def unavailable() -> Unavailable:
    """What callers who are held to limits are told while Redis is away: nobody could tell what is left."""
    return Unavailable(
        "LIMITS_UNAVAILABLE",
        "the gateway cannot reach the Redis that keeps its callers' limits, and does not go on without; "
        "try again in a few seconds",
        retry_after=3.0,
    )


def _claims(claims: Sequence[Claim]) -> str:
    return json.dumps([as_json(claim) for claim in claims], separators=(",", ":"))


def _spent(spent: Spent) -> str:
    return f'{{"requests":{spent.requests},"tokens":{spent.tokens},"micros":{spent.micros}}}'


def _refused(claim: int, used: int, held: int, limit: int, wait: int) -> Refused:
    return Refused(claim, used, held, int(limit), None if wait < 0 else wait / 1000)
