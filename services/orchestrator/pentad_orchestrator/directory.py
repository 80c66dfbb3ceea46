"""What the registry says of a tenant's agents: a copy that follows its changes, and answers to questions."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any

from pentad.registry.v1 import registry_pb2
from pentad_client import Pentad
from pentad_client.registry import selector
from pentad_common.errors import NotFound, PentadError
from pentad_common.telemetry import get_logger
from pentad_orchestrator.background import Background
from pentad_orchestrator.core import signals
from pentad_orchestrator.core.state import Failure

log = get_logger(__name__)

_LIVE = frozenset(
    {
        registry_pb2.INSTANCE_STATUS_STARTING,
        registry_pb2.INSTANCE_STATUS_ACTIVE,
        registry_pb2.INSTANCE_STATUS_BUSY,
        registry_pb2.INSTANCE_STATUS_SUSPECT,
    }
)
_FIRST_SYNC_SECONDS = 2.0
_AGAIN_SECONDS = 1.0


class Directory:
    """One tenant's agents. `changed()` is called after each change."""

    def __init__(self, pentad: Pentad, changed: Callable[[], None]) -> None:
        self._registry = pentad.registry
        self._changed = changed
        self._agents: dict[str, signals.AgentInfo] = {}
        self._synced = asyncio.Event()
        self._patient = True

    async def snapshot(self) -> signals.Directory | None:
        """All agents by name; None if the registry has not told of them yet."""
        if not self._synced.is_set() and self._patient:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SYNC_SECONDS):
                    await self._synced.wait()
            self._patient = False
        return self._agents if self._synced.is_set() else None

    async def follow(self) -> None:
        """Follows the registry's changes for ever."""
        while True:
            try:
                async for change in self._registry.watch():
                    await self._take(change)
            except PentadError as error:
                log.warning("the watch of agents ended", reason=error.reason, error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _take(self, change: registry_pb2.WatchAgentsResponse) -> None:
        kind, before = registry_pb2.WatchAgentsResponse, self._agents
        if change.type == kind.TYPE_SYNCED and self._synced.is_set():
            # The registry has started anew: what it does not know any more must go.
            self._agents = {agent.card.name: info(agent) async for agent in self._registry.list()}
        elif change.type == kind.TYPE_UPDATED:
            self._agents = {**self._agents, change.agent.card.name: info(change.agent)}
        elif change.type == kind.TYPE_REMOVED:
            gone = change.agent.card.name
            self._agents = {name: agent for name, agent in self._agents.items() if name != gone}
        if change.type == kind.TYPE_SYNCED:
            self._synced.set()
            self._changed()
        elif self._synced.is_set() and self._agents != before:
            self._changed()

    async def resolve(self, run_id: str, question: signals.Resolve) -> signals.Resolved:
        """Asks the registry who does an attempt."""
        try:
            if question.agent:
                return await self._by_name(question)
            return await self._by_capability(run_id, question)
        except PentadError as error:
            log.warning("the registry cannot be asked", reason=error.reason, error=str(error))
            return _answer(question, busy="waits for the registry, which does not answer")

    async def _by_name(self, question: signals.Resolve) -> signals.Resolved:
        try:
            agent = info(await self._registry.get(question.agent))
        except NotFound:
            return _answer(question, failure=self._unknown(question.agent))
        self._agents = {**self._agents, agent.name: agent}
        if agent.live:
            return _answer(question, agent=agent.name)
        return _answer(question, busy=f"waits for agent '{agent.name}', which is not running")

    def _unknown(self, name: str) -> Failure:
        similar = difflib.get_close_matches(name, self._agents, n=3, cutoff=0.5)
        there = similar or sorted(item.name for item in self._agents.values() if item.live)[:8]
        hint = (
            f"did you mean {' or '.join(similar)}?" if similar else f"there is {', '.join(there) or 'none'}"
        )
        message = f"no agent is named '{name}'; {hint} `pentad agents list` shows all"
        return Failure(5, "AGENT_NOT_FOUND", message, {"agent": name, "similar": ",".join(similar)})

    async def _by_capability(self, run_id: str, question: signals.Resolve) -> signals.Resolved:
        wanted = question.capability
        # The same question gets the same place again; it ends when the instance reports the work.
        request_id = sha256(f"{run_id}/{question.step}/{question.attempt}".encode()).hexdigest()[:32]
        try:
            picked = await self._registry.select(selector(capabilities=[wanted]), request_id=request_id)
            return _answer(question, agent=picked.instance.agent)
        except NotFound:
            there = sorted({item for agent in self._agents.values() for item in agent.capabilities})[:16]
            message = f"no agent has the capability '{wanted}'; there is {', '.join(there) or 'none'}"
            return _answer(question, failure=Failure(5, "NO_AGENT_MATCHES", message, {"capability": wanted}))
        except PentadError as error:
            if error.reason != "NO_INSTANCE_AVAILABLE":
                raise
        # All are full: work waits in an inbox as well as here, and an inbox keeps its place in the queue.
        able = sorted(
            item.name for item in self._agents.values() if item.live and wanted in item.capabilities
        )
        if able:
            return _answer(question, agent=able[int(request_id, 16) % len(able)])
        return _answer(question, busy=f"waits for an agent with the capability '{wanted}'")


def info(agent: registry_pb2.Agent) -> signals.AgentInfo:
    """What the engine needs to know of an agent."""
    card = agent.card
    live = any(instance.status in _LIVE for instance in agent.instances)
    return signals.AgentInfo(card.name, live, card.description, tuple(card.capabilities))


def _answer(question: signals.Resolve, **fields: Any) -> signals.Resolved:
    return signals.Resolved(question.step, question.attempt, **fields)


class Directories:
    """The directories of all tenants, each begun when first asked for."""

    def __init__(self, pentad: Pentad, background: Background, changed: Callable[[str], None]) -> None:
        self._pentad = pentad
        self._background = background
        self._changed = changed
        self._open: dict[str, tuple[Directory, asyncio.Task[None]]] = {}

    def of(self, tenant: str) -> Directory:
        """The tenant's directory."""
        if tenant not in self._open:
            directory = Directory(self._pentad, lambda: self._changed(tenant))
            self._open[tenant] = directory, self._background.spawn(directory.follow(), tenant)
        return self._open[tenant][0]

    def close(self, tenant: str) -> None:
        """Stops following the tenant's agents."""
        opened = self._open.pop(tenant, None)
        if opened is not None:
            opened[1].cancel()
