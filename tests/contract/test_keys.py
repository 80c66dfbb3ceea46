"""API keys behave the same on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from pentad_common.clock import utcnow
from pentad_common.db import Database
from pentad_common.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PentadError,
    Unauthenticated,
)
from pentad_common.ids import new_id
from pentad_common.keys import KeyStore
from pentad_common.models import ApiKey, AuditEvent, Tenant


@pytest.fixture
def keys(database: Database) -> KeyStore:
    """The keys of the test's database."""
    return KeyStore(database)


async def test_a_key_opens_its_tenant(keys: KeyStore, tenant: str) -> None:
    """A new key authenticates as its tenant, role and agents."""
    made, text = await keys.create(tenant, name="host", role="agent", agents=["writer", "critic"])
    found = await keys.authenticate(text)
    assert found == made
    assert (found.tenant_id, found.role, found.agents) == (tenant, "agent", ("writer", "critic"))


async def test_the_secret_is_not_kept(keys: KeyStore, database: Database, tenant: str) -> None:
    """The database has a hash of the secret and the secret nowhere."""
    _, text = await keys.create(tenant, name="x", role="client")
    row = await database.read(lambda session: session.scalars(select(ApiKey)).one(), tenant=tenant)
    secret = text.split("_", 2)[2]
    assert len(row.secret_sha256) == 32
    assert secret not in repr(vars(row))


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-1] + "~", lambda text: text + "x", lambda _: "é", str.upper]
)
async def test_what_is_not_a_key_is_invalid(keys: KeyStore, tenant: str, spoil: Callable[[str], str]) -> None:
    """A key with anything wrong is API_KEY_INVALID."""
    _, text = await keys.create(tenant, name="x", role="client")
    with pytest.raises(Unauthenticated) as caught:
        await keys.authenticate(spoil(text))
    assert caught.value.reason == "API_KEY_INVALID"


async def test_ended_keys_say_why(keys: KeyStore, tenant: str) -> None:
    """A revoked key and an expired one are told apart, and are left out of the list unless asked for."""
    revoked, revoked_text = await keys.create(tenant, name="x", role="client")
    await keys.revoke(tenant, revoked.key_id)
    soon = utcnow() + timedelta(milliseconds=30)
    _, expired_text = await keys.create(tenant, name="y", role="client", expire_time=soon)
    await asyncio.sleep(0.05)
    for text, reason in ((revoked_text, "API_KEY_REVOKED"), (expired_text, "API_KEY_EXPIRED")):
        with pytest.raises(Unauthenticated) as caught:
            await keys.authenticate(text)
        assert caught.value.reason == reason
    assert (await keys.list(tenant))[0] == []
    assert len((await keys.list(tenant, include_ended=True))[0]) == 2


async def test_lists_come_in_pages(keys: KeyStore, tenant: str) -> None:
    """Pages together have every key once, newest first."""
    made = [(await keys.create(tenant, name=str(n), role="client"))[0].key_id for n in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page, token = await keys.list(tenant, size=2, page_token=token)
        seen += [key.key_id for key in page]
        if not token:
            break
    assert seen == made[::-1]
    with pytest.raises(InvalidArgument):
        await keys.list(tenant, page_token="made-up")


async def test_keys_of_another_tenant_do_not_exist(keys: KeyStore, database: Database, tenant: str) -> None:
    """A tenant neither sees nor ends another's keys."""
    other = new_id()
    await database.run(lambda session: session.add(Tenant(id=other, name="other")), tenant=other)
    key, text = await keys.create(other, name="x", role="client")
    assert (await keys.list(tenant))[0] == []
    with pytest.raises(NotFound) as caught:
        await keys.revoke(tenant, key.key_id)
    assert caught.value.reason == "KEY_NOT_FOUND"
    await keys.authenticate(text)


async def test_the_last_admin_key_stays(keys: KeyStore, tenant: str) -> None:
    """The last admin key cannot be revoked; one of two can."""
    first, _ = await keys.create(tenant, name="a", role="admin")
    with pytest.raises(FailedPrecondition) as caught:
        await keys.revoke(tenant, first.key_id)
    assert caught.value.reason == "LAST_ADMIN_KEY"
    await keys.create(tenant, name="b", role="admin")
    ended = await keys.revoke(tenant, first.key_id)
    assert ended.revoke_time is not None
    assert await keys.revoke(tenant, first.key_id) == ended


async def test_a_repeated_request_makes_no_second_key(keys: KeyStore, tenant: str) -> None:
    """The same request_id is refused: the secret cannot be shown again."""
    await keys.create(tenant, name="x", role="client", request_id="q1")
    with pytest.raises(AlreadyExists) as caught:
        await keys.create(tenant, name="x", role="client", request_id="q1")
    assert caught.value.reason == "KEY_EXISTS"
    await keys.create(tenant, name="x", role="client")
    await keys.create(tenant, name="x", role="client")


Make = Callable[[KeyStore, str], Awaitable[object]]


@pytest.mark.parametrize(
    "make",
    [
        lambda keys, tenant: keys.create(tenant, name="x", role="king"),
        lambda keys, tenant: keys.create(tenant, name="x", role="agent"),
        lambda keys, tenant: keys.create(tenant, name="x", role="client", agents=["writer"]),
        lambda keys, tenant: keys.create(tenant, name="x", role="agent", agents=["Not A Name"]),
        lambda keys, tenant: keys.create(tenant, name="x", role="agent", agents=["pentad.x"]),
        lambda keys, tenant: keys.create(tenant, name="x", role="client", expire_time=utcnow()),
    ],
)
async def test_impossible_keys_are_not_made(keys: KeyStore, tenant: str, make: Make) -> None:
    """A request that makes no sense is INVALID_ARGUMENT and leaves nothing."""
    with pytest.raises(PentadError) as caught:
        await make(keys, tenant)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert (await keys.list(tenant))[0] == []


async def test_what_is_done_to_keys_is_audited(keys: KeyStore, database: Database, tenant: str) -> None:
    """Making and ending a key leave a row each, with who did it."""
    key, _ = await keys.create(tenant, name="x", role="client", by="someadminkey")
    await keys.revoke(tenant, key.key_id, by="someadminkey")
    query = select(AuditEvent).order_by(AuditEvent.create_time)
    events = await database.read(lambda session: list(session.scalars(query)), tenant=tenant)
    assert [(event.action, event.key_id) for event in events] == [
        ("key.create", "someadminkey"),
        ("key.revoke", "someadminkey"),
    ]
