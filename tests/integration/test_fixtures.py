"""The servers that tests stand on are what they say."""

from __future__ import annotations

import redis
from sqlalchemy import create_engine, text

from pentad_common.db import Database
from pentad_common.keys import KeyStore
from tests.fixtures.databases import MakeKey
from tests.fixtures.postgres import Postgres


def test_application_role_is_subject_to_row_level_security(postgres_server: Postgres) -> None:
    """The role that tests connect as is neither owner nor superuser and cannot bypass row-level security."""
    with postgres_server.clone() as name, create_engine(postgres_server.url(name)).connect() as connection:
        query = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(text(query)).one() == ("pentad_service", False, False)


async def test_key_of_a_new_tenant_is_good(database: Database, tenant: str, make_key: MakeKey) -> None:
    """A key made for a test authenticates as the test's tenant, on both databases."""
    key = await KeyStore(database).authenticate(await make_key("agent", "writer"))
    assert (key.tenant_id, key.role, key.agents) == (tenant, "agent", ("writer",))


def test_redis_starts_empty(redis_url: str) -> None:
    """Every test gets a Redis without keys."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("key", "value")


def test_redis_is_emptied_between_tests(redis_url: str) -> None:
    """What one test wrote, the next does not see."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
