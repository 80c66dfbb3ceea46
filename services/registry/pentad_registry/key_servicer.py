"""KeyService: proto to `pentad_common.keys` and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from pentad.common.v1 import options_pb2
from pentad.registry.v1 import registry_pb2, registry_pb2_grpc
from pentad_common.call import Role, current_call
from pentad_common.clock import utcnow
from pentad_common.cursor import page_size
from pentad_common.keys import Key, KeyStore


class KeyServicer(registry_pb2_grpc.KeyServiceServicer):
    """Makes, lists and revokes the keys of the caller's tenant."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def CreateKey(
        self, request: registry_pb2.CreateKeyRequest, context: Any
    ) -> registry_pb2.CreateKeyResponse:
        """A new key and, this once, its text."""
        call = current_call()
        lasts = request.ttl.ToTimedelta() if request.HasField("ttl") else None
        key, text = await self._keys.create(
            call.tenant_id,
            name=request.name,
            role=_role(request.role),
            agents=request.agents,
            expire_time=utcnow() + lasts if lasts else None,
            request_id=request.request_id,
            by=call.key_id,
        )
        return registry_pb2.CreateKeyResponse(key=_to_proto(key), secret=text)

    async def ListKeys(
        self, request: registry_pb2.ListKeysRequest, context: Any
    ) -> registry_pb2.ListKeysResponse:
        """A page of keys, newest first."""
        keys, token = await self._keys.list(
            current_call().tenant_id,
            include_ended=request.include_ended,
            size=page_size(request.page_size),
            page_token=request.page_token,
        )
        return registry_pb2.ListKeysResponse(keys=[_to_proto(key) for key in keys], next_page_token=token)

    async def RevokeKey(
        self, request: registry_pb2.RevokeKeyRequest, context: Any
    ) -> registry_pb2.RevokeKeyResponse:
        """Ends a key."""
        call = current_call()
        key = await self._keys.revoke(call.tenant_id, request.key_id, by=call.key_id)
        response = registry_pb2.RevokeKeyResponse(key=_to_proto(key))
        response.effective_time.FromDatetime((key.revoke_time or utcnow()) + timedelta(seconds=1))
        return response


def _role(number: options_pb2.Role) -> Role:
    return cast(Role, options_pb2.Role.Name(number).removeprefix("ROLE_").lower())


def _to_proto(key: Key) -> registry_pb2.Key:
    proto = registry_pb2.Key(
        key_id=key.key_id,
        name=key.name,
        role=f"ROLE_{key.role.upper()}",
        agents=key.agents,
    )
    proto.create_time.FromDatetime(key.create_time)
    if key.expire_time is not None:
        proto.expire_time.FromDatetime(key.expire_time)
    if key.revoke_time is not None:
        proto.revoke_time.FromDatetime(key.revoke_time)
    return proto
