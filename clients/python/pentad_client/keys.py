"""The tenant's API keys. Needs a key of role admin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import cast

from pentad.common.v1 import options_pb2
from pentad.registry.v1 import registry_pb2, registry_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_client.errors import InvalidArgument


class KeysClient:
    """KeyService, at the registry's address."""

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._stub = channels.stub(
            config.registry_address, registry_pb2_grpc.KeyServiceStub, registry_pb2.DESCRIPTOR
        )

    async def create(
        self,
        name: str,
        role: str,
        agents: Sequence[str] = (),
        ttl: timedelta | None = None,
        request_id: str = "",
    ) -> tuple[registry_pb2.Key, str]:
        """A new key, and its text, which is shown this once. `role`: admin, client, agent or service.

        Raises InvalidArgument INVALID_KEY_REQUEST, AlreadyExists KEY_EXISTS.
        """
        request = registry_pb2.CreateKeyRequest(
            name=name, role=role_number(role), agents=agents, request_id=request_id
        )
        if ttl is not None:
            request.ttl.FromTimedelta(ttl)
        response = await self._stub.CreateKey(request)
        return response.key, response.secret

    async def list(self, include_ended: bool = False) -> AsyncIterator[registry_pb2.Key]:
        """All keys, newest first, page by page."""
        token = ""
        while True:
            request = registry_pb2.ListKeysRequest(include_ended=include_ended, page_token=token)
            page = await self._stub.ListKeys(request)
            for key in page.keys:
                yield key
            token = page.next_page_token
            if not token:
                return

    async def revoke(self, key_id: str) -> registry_pb2.Key:
        """Ends a key: within a second it is refused everywhere.

        Raises NotFound KEY_NOT_FOUND, FailedPrecondition LAST_ADMIN_KEY.
        """
        response: registry_pb2.RevokeKeyResponse = await self._stub.RevokeKey(
            registry_pb2.RevokeKeyRequest(key_id=key_id)
        )
        return response.key


def role_number(role: str) -> options_pb2.Role:
    """The contract's number of a role. Raises InvalidArgument INVALID_KEY_REQUEST if there is none."""
    try:
        return cast(options_pb2.Role, options_pb2.Role.Value(f"ROLE_{role.upper()}"))
    except ValueError:
        raise InvalidArgument(
            "INVALID_KEY_REQUEST",
            f"there is no role {role!r}; it is one of admin, client, agent, service",
            role=role,
        ) from None


def role_name(number: int) -> str:
    """The name of a role: admin, client, agent or service."""
    return options_pb2.Role.Name(cast(options_pb2.Role, number)).removeprefix("ROLE_").lower()
