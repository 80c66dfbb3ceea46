"""Authentication: who calls, for which tenant, as which agent, and whether that role may call this method."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pool

from pentad.common.v1 import options_pb2
from pentad_client.envelope import Envelope, current_envelope, set_envelope
from pentad_common.call import CallContext, set_current_call
from pentad_common.errors import PermissionDenied, Unauthenticated
from pentad_common.interceptors.chain import Interceptor, Rpc
from pentad_common.interceptors.key_cache import KeyCache
from pentad_common.interceptors.open_streams import OpenStreams
from pentad_common.keys import Key, KeyStore
from pentad_common.telemetry import bind, get_logger

log = get_logger(__name__)

_EVERYONE = frozenset({"admin", "client", "agent", "service"})
_UNLESS_SAID = frozenset({"admin", "service"})


class Authentication(Interceptor):
    """Everything but health checks needs a key; sets `current_call()`."""

    def __init__(self, keys: KeyStore, streams: OpenStreams) -> None:
        self._keys = keys
        self._cache = KeyCache(keys)
        self._streams = streams
        self._tenants: set[str] = set()
        self._attempts = Attempts()

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Raises Unauthenticated API_KEY_MISSING, _INVALID, _REVOKED, _EXPIRED; PermissionDenied
        ROLE_NOT_ALLOWED.
        """
        if rpc.is_health:
            yield
            return
        try:
            key = await self._cache.authenticate(bearer(rpc.metadata))
        except Unauthenticated as error:
            self._attempts.note(rpc.context.peer(), error.reason)
            raise
        bind(tenant=key.tenant_id, key=key.key_id)
        check_role(rpc, key)
        await self._identify(rpc, key)
        if not rpc.streaming:
            yield
            return
        async with self._streams.kept(rpc.method, key.key_id):
            yield

    async def _identify(self, rpc: Rpc, key: Key) -> None:
        envelope = current_envelope()
        call = CallContext(
            tenant_id=await self._tenant(rpc, key),
            key_id=key.key_id,
            role=key.role,
            grants=key.agents,
            run_id=envelope.run_id,
            request_id=rpc.request_id,
            traceparent=envelope.traceparent or "",
            hops=envelope.hops,
            budget=dict(envelope.budget or {}),
        )
        rpc.call = call = replace(call, agent=acting_agent(call, rpc.metadata.get("pentad-agent")))
        set_current_call(call)
        _carry_on(envelope, call)

    async def _tenant(self, rpc: Rpc, key: Key) -> str:
        """The key's tenant, or the one that a service acts for. Anyone else who claims another is audited."""
        claimed = rpc.metadata.get("pentad-on-behalf-of")
        if not claimed or claimed == key.tenant_id:
            return key.tenant_id
        if key.role != "service":
            log.warning("pentad-on-behalf-of ignored", role=key.role)
            await self._keys.audit(
                key.tenant_id, key.key_id, "on_behalf_of.ignored", claimed=claimed[:64], method=rpc.method
            )
            return key.tenant_id
        if claimed not in self._tenants:
            if not await self._keys.tenant_exists(claimed):
                raise PermissionDenied(
                    "TENANT_UNKNOWN", "there is no such tenant to act for", tenant=claimed[:64]
                )
            self._tenants.add(claimed)
        return claimed


def bearer(metadata: dict[str, str]) -> str:
    """The key in `authorization: Bearer <key>`. Raises Unauthenticated API_KEY_MISSING."""
    scheme, _, text = metadata.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise Unauthenticated(
            "API_KEY_MISSING",
            "no API key: send the metadata `authorization: Bearer <key>`; `pentad env` prints the key",
        )
    return text.strip()


def acting_agent(call: CallContext, asked: str | None) -> str | None:
    """The agent that calls. A key with one granted name needs no header; admins and clients are no agents."""
    if call.role in ("admin", "client"):
        return None
    if asked:
        return call.grant(asked)
    single = len(call.grants) == 1 and call.grants[0] != "*"
    return call.grants[0] if single else None


def check_role(rpc: Rpc, key: Key) -> None:
    """Raises PermissionDenied ROLE_NOT_ALLOWED unless the contract allows the method to the key's role."""
    roles = allowed_roles(rpc.method) if rpc.known else _EVERYONE
    if key.role not in roles:
        allowed = ", ".join(sorted(roles))
        raise PermissionDenied(
            "ROLE_NOT_ALLOWED",
            f"a key of role {key.role} may not call {rpc.method}; it takes one of: {allowed}",
            role=key.role,
            allowed=allowed,
            method=rpc.method,
        )


@lru_cache(maxsize=1024)
def allowed_roles(method: str) -> frozenset[str]:
    """The roles that the contract's `(pentad.common.v1.allow)` names for `/package.Service/Method`."""
    if not method.startswith("/pentad."):
        return _EVERYONE  # reflection
    pool = descriptor_pool.Default()
    descriptor = pool.FindMethodByName(method.lstrip("/").replace("/", "."))
    numbers: Any = descriptor.GetOptions().Extensions[options_pb2.allow]  # type: ignore[index]
    names = frozenset(options_pb2.Role.Name(number).removeprefix("ROLE_").lower() for number in numbers)
    return names or _UNLESS_SAID


def _carry_on(envelope: Envelope, call: CallContext) -> None:
    """Calls to siblings go out with this service's own key, on behalf of the caller's tenant and agent."""
    set_envelope(replace(envelope, agent=call.agent, on_behalf_of=call.tenant_id))
    if call.agent:
        bind(agent=call.agent)
    if call.tenant_id:
        bind(tenant=call.tenant_id)


class Attempts:
    """Notes refused calls in the log, at most one line in `seconds`, without the keys."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._count = 0
        self._noted = float("-inf")

    def note(self, peer: str, reason: str) -> None:
        """One refused call."""
        self._count += 1
        now = time.monotonic()
        if now - self._noted >= self._seconds:
            log.warning("unauthenticated", reason=reason, peer=peer, count=self._count)
            self._noted, self._count = now, 0
