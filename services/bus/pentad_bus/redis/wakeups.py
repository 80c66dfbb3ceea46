"""Who is told that something came: one connection a Redis node, however many inboxes there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from pentad_bus.redis.replica import woken
from pentad_bus.redis.script import OUTAGES, Client, tenant_prefix
from pentad_bus.redis.tasks import stop
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_RETRY = 0.5

Heard = Callable[[str, str, list[str]], None]
"""Tenant, process that caused it, names of inboxes."""


class _Node:
    """One Redis node's channels."""

    def __init__(self, client: Redis, owned: bool) -> None:
        self.client = client
        self.pubsub = client.pubsub()
        self.owned = owned
        self.task: asyncio.Task[None] | None = None


class Wakeups:
    """Sharded pub/sub, one channel a tenant. What is missed while a node is away, the next tick finds."""

    def __init__(self, client: Client, process: str, heard: Heard) -> None:
        self._client = client
        self._process = process
        self._heard = heard
        self._tenants: dict[bytes, str] = {}
        self._alive: dict[str, bytes] = {}
        """By tenant, a channel on which nothing is said: that someone listens shows that it lives."""
        self._heard_on: set[bytes] = set()
        self._nodes: dict[str, _Node] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._run(), name="wakeups")

    async def close(self) -> None:
        """Listens no more."""
        await stop([self._task])
        await self._drop_nodes()

    def follow(self, tenant_id: str) -> None:
        """Listens for a tenant too."""
        prefix = tenant_prefix(tenant_id)
        self._tenants[f"{prefix}wake".encode()] = tenant_id
        self._alive[tenant_id] = f"{prefix}alive:{self._process}".encode()
        self._wanted.set()

    def guards(self, tenant_id: str) -> bool:
        """Whether Redis knows that this process listens."""
        return self._alive.get(tenant_id) in self._heard_on

    async def _run(self) -> None:
        subscribed: set[bytes] = set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                if any(node.task is not None and node.task.done() for node in self._nodes.values()):
                    await self._drop_nodes()
                    subscribed.clear()
                for channel in {*self._tenants, *self._alive.values()} - subscribed:
                    await self._subscribe(channel)
                    subscribed.add(channel)
            except OUTAGES:
                await self._drop_nodes()
                subscribed.clear()
                await asyncio.sleep(_RETRY)
                self._wanted.set()

    async def _subscribe(self, channel: bytes) -> None:
        node = self._node(channel)
        await node.pubsub.ssubscribe(channel)
        if node.task is None:
            node.task = asyncio.create_task(self._listen(node))

    def _node(self, channel: bytes) -> _Node:
        name, client, owned = "", self._client, False
        if isinstance(client, RedisCluster):
            found: Any = client.get_node_from_key(channel.decode())
            name = str(found.name)
        if name not in self._nodes:
            if isinstance(client, RedisCluster):
                options = {key: found.connection_kwargs.get(key) for key in ("username", "password")}
                client, owned = Redis(host=found.host, port=found.port, **options), True
            self._nodes[name] = _Node(client, owned)
        return self._nodes[name]

    async def _listen(self, node: _Node) -> None:
        try:
            async for message in node.pubsub.listen():
                if message["type"] == "smessage":
                    process, names = woken(message["data"])
                    self._heard(self._tenants[message["channel"]], process, names)
                elif message["type"] == "ssubscribe":
                    self._heard_on.add(message["channel"])
                elif message["type"] == "sunsubscribe":  # the slot has moved
                    return
        except OUTAGES:
            await asyncio.sleep(_RETRY)
        finally:
            self._wanted.set()

    async def _drop_nodes(self) -> None:
        nodes, self._nodes = list(self._nodes.values()), {}
        self._heard_on.clear()
        for node in nodes:
            await stop([node.task])
            with suppress(*OUTAGES):
                await node.pubsub.aclose()  # type: ignore[no-untyped-call]
            if node.owned:
                with suppress(*OUTAGES):
                    await node.client.aclose()
