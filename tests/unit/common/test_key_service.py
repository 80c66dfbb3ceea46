"""KeyService through the client: what `pentad keys` does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pentad.registry.v1 import registry_pb2_grpc
from pentad_client import ClientConfig, Pentad, PentadError
from pentad_client.keys import role_name
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.server import Server
from pentad_common.settings import ServiceSettings
from pentad_registry.key_servicer import KeyServicer
from tests.unit.common.samples import TENANT


@pytest.fixture
async def admin(local_database: Database, sqlite_url: str) -> AsyncIterator[Pentad]:
    """A client with the only admin key."""
    keys = KeyStore(local_database)
    _, text = await keys.create(TENANT, name="first", role="admin")
    server = Server(ServiceSettings(database_url=sqlite_url), "keys", local_database)
    server.add(registry_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(keys))
    async with (
        server.running() as address,
        Pentad(ClientConfig(api_key=text, registry_address=address)) as pentad,
    ):
        yield pentad


async def test_a_key_is_made_listed_and_revoked(admin: Pentad) -> None:
    """A new key comes with its text once; it is in the list until it is revoked, and then among the ended
    ones.
    """
    key, text = await admin.keys.create("host", "agent", ["writer"], ttl=timedelta(hours=1))
    assert text.startswith(f"pentad_{key.key_id}_")
    assert (role_name(key.role), list(key.agents)) == ("agent", ["writer"])
    lasts = key.expire_time.ToDatetime() - key.create_time.ToDatetime()
    assert abs(lasts.total_seconds() - 3600) < 1
    assert [item.name async for item in admin.keys.list()] == ["host", "first"]
    revoked = await admin.keys.revoke(key.key_id)
    assert revoked.HasField("revoke_time")
    assert [item.name async for item in admin.keys.list()] == ["first"]
    assert [item.name async for item in admin.keys.list(include_ended=True)] == ["host", "first"]


async def test_long_lists_come_whole(admin: Pentad) -> None:
    """The client asks for page after page."""
    for number in range(103):
        await admin.keys.create(f"k{number}", "client")
    assert len([key async for key in admin.keys.list()]) == 104


async def test_only_admins_manage_keys(admin: Pentad) -> None:
    """A key of another role is refused, with the role that it takes."""
    _, text = await admin.keys.create("app", "client")
    config = ClientConfig(api_key=text, registry_address=admin.config.registry_address)
    async with Pentad(config) as client:
        with pytest.raises(PentadError) as caught:
            await client.keys.revoke("x")
    assert (caught.value.reason, caught.value.metadata["allowed"]) == ("ROLE_NOT_ALLOWED", "admin")


async def test_nobody_gets_a_key_that_acts_for_other_tenants(admin: Pentad) -> None:
    """An admin manages the own tenant alone: a key of role service would reach every tenant."""
    with pytest.raises(PentadError) as caught:
        await admin.keys.create("platform", "service")
    assert caught.value.reason == "SERVICE_KEY_REFUSED"
    assert [item.name async for item in admin.keys.list()] == ["first"]


async def test_mistakes_have_reasons(admin: Pentad) -> None:
    """An unknown role, no name, an unknown key and the last admin's are refused, each with its reason."""
    reasons = []
    own = admin.config.api_key.split("_")[1]
    for call in (
        admin.keys.create("x", "king"),
        admin.keys.create("", "client"),
        admin.keys.create("x", "agent"),
        admin.keys.revoke("nosuchkey"),
        admin.keys.revoke(own),
    ):
        with pytest.raises(PentadError) as caught:
            await call
        reasons.append(caught.value.reason)
    assert reasons == [
        "INVALID_KEY_REQUEST",
        "INVALID_REQUEST",
        "INVALID_KEY_REQUEST",
        "KEY_NOT_FOUND",
        "LAST_ADMIN_KEY",
    ]
