"""The directory: what is known of agents, put together from cards and leases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument, NotFound
from pentad_registry import selection
from pentad_registry.model import Agent, Card, Change, ChangeKind, Lease, Selector
from pentad_registry.store import CardStore, LiveStore

PAGE = "agents-page"
Clock = Callable[[], float]


class Directory:
    """The agents of all tenants, as far as the stores hold them."""

    def __init__(self, cards: CardStore, live: LiveStore, clock: Clock = time.time) -> None:
        self._cards = cards
        self._live = live
        self.now = clock

    async def agents(self, tenant: str) -> list[Agent]:
        """All agents, by name."""
        cards = await self._cards.latest(tenant)
        by_agent: dict[str, list[Lease]] = {}
        for lease in await self._live.leases(tenant):
            by_agent.setdefault(lease.agent, []).append(lease)
        names = sorted(cards.keys() | by_agent.keys())
        found = [self._assemble(cards.get(name), by_agent.get(name, [])) for name in names]
        return [agent for agent in found if agent is not None]

    async def known(self, tenant: str, name: str) -> Agent | None:
        """One agent, or None."""
        card = (await self._cards.latest(tenant)).get(name)
        return self._assemble(card, await self._live.leases(tenant, name))

    async def agent(self, tenant: str, name: str) -> Agent:
        """One agent. Raises NotFound AGENT_NOT_FOUND."""
        found = await self.known(tenant, name)
        if found is None:
            raise NotFound(
                "AGENT_NOT_FOUND",
                f"there is no agent {name!r}; `pentad agents list` shows those that there are",
                agent=name,
            )
        return found

    def _assemble(self, card: Card | None, leases: Sequence[Lease]) -> Agent | None:
        """An agent's card is the newest one that a live instance runs, or else the newest known."""
        now = self.now()
        live = sorted(
            (lease for lease in leases if lease.expire_time > now), key=lambda lease: lease.instance
        )
        if live:
            card = max((lease.card for lease in live), key=_since)
        return Agent(card, tuple(live)) if card else None

    async def page(self, tenant: str, *, live: bool, size: int, token: str) -> tuple[list[Agent], str]:
        """A page of agents by name, and the token of the next page ("" on the last)."""
        after = _position(token) if token else ""
        found = [agent for agent in await self.agents(tenant) if agent.card.name > after]
        if live:
            found = [agent for agent in found if agent.instances]
        page = found[:size]
        return page, encode_cursor(PAGE, page[-1].card.name) if len(found) > size else ""

    async def find(self, tenant: str, selector: Selector, limit: int) -> list[Agent]:
        """The agents that fit, best first."""
        return selection.rank(await self.agents(tenant), selector, self.now())[:limit]

    async def announce(self, tenant: str, name: str) -> None:
        """Tells watchers what an agent is like now."""
        agent = await self.known(tenant, name)
        if agent is not None:
            await self._live.append(tenant, Change(ChangeKind.UPDATED, agent, self.now()))


def _since(card: Card) -> float:
    return card.since.timestamp() if card.since else 0.0


def _position(token: str) -> str:
    match decode_cursor(PAGE, token):
        case [str() as name]:
            return name
    raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of {PAGE}")
