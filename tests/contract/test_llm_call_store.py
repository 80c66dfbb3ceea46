"""What every store of calls does, on every database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pentad_common.call import CallContext
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.ids import new_id
from pentad_common.models import Tenant
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.catalog import load_catalog
from pentad_llm_gateway.completion import Completion, Finished, Message, Opened, Text, Usage
from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.rules import Scope
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.store.base import CallStore, UsageQuery
from pentad_llm_gateway.store.sql import SqlCallStore


@pytest.fixture
def store(database: Database) -> CallStore:
    """A store with nothing in it."""
    return SqlCallStore(database)


@pytest.fixture
def router() -> Router:
    """A router that has a key for everything."""
    catalog = load_catalog()
    settings = GatewaySettings(database_url="sqlite:///x", anthropic_api_key="k", openai_api_key="k")
    return Router(ProviderFactory(settings, catalog), catalog)


def call(
    router: Router, tenant: str, model: str = "claude-sonnet-5-5", status: str = "OK", **caller: Any
) -> CallRecord:
    """A call that has ended."""
    context = CallContext(tenant, "abcdefghijkl", "client", **caller)
    record = CallRecord(
        context, router.resolve(model), Completion(model, (Message("user", (Text("hi"),)),)), False
    )
    record.see(Opened(record.target.model))
    if status == "OK":
        record.see(Finished("stop", Usage(10, 5, cached_input_tokens=4, reasoning_tokens=1)))
    record.end(status)
    return record


async def test_sums_by_model(store: CallStore, router: Router, tenant: str) -> None:
    """Tokens, costs, calls and failures are summed by provider and model; an unknown price stays unknown."""
    calls = [call(router, tenant), call(router, tenant), call(router, tenant, status="RATE_LIMITED")]
    await store.add([*calls, call(router, tenant, "openai/unpriced")])
    claude, unpriced = await store.usage(tenant, UsageQuery())
    assert (claude.provider, claude.model, claude.calls, claude.failures) == (
        "anthropic",
        "claude-sonnet-5-5",
        3,
        1,
    )
    assert claude.usage == Usage(20, 10, cached_input_tokens=8, reasoning_tokens=2)
    assert claude.cost_micros == 2 * round(6 * 2 + 4 * 0.2 + 5 * 10)
    assert (unpriced.model, unpriced.cost_micros, unpriced.calls) == ("unpriced", None, 1)


async def test_kept_once(store: CallStore, router: Router, tenant: str) -> None:
    """A call that is added again, as after a lost answer of the database, counts once."""
    first, second = call(router, tenant), call(router, tenant)
    await store.add([first])
    await store.add([first, second])
    (found,) = await store.usage(tenant, UsageQuery())
    assert found.calls == 2


async def test_conditions(store: CallStore, router: Router, tenant: str) -> None:
    """Run, agent and time narrow the sum; the start is included, the end is not."""
    one, two = call(router, tenant, run_id="r1", agent="writer"), call(router, tenant, run_id="r2")
    two.create_time = one.create_time + timedelta(seconds=10)
    await store.add([one, two])

    async def count(**conditions: Any) -> int:
        return sum(item.calls for item in await store.usage(tenant, UsageQuery(**conditions)))

    assert await count(run_id="r1") == await count(agent="writer") == 1
    assert await count(run_id="r1", agent="critic") == 0
    assert await count(start=two.create_time) == await count(end=two.create_time) == 1
    assert await count(start=one.create_time, end=two.create_time + timedelta(seconds=1)) == 2


async def test_tenants_are_apart(store: CallStore, router: Router, tenant: str, database: Database) -> None:
    """One batch has calls of many tenants; each sees its own."""
    other = new_id()
    await database.run(lambda session: session.add(Tenant(id=other, name="other")), tenant=ALL_TENANTS)
    await store.add([call(router, tenant), call(router, other), call(router, other)])
    assert [item.calls for item in await store.usage(tenant, UsageQuery())] == [1]
    assert [item.calls for item in await store.usage(other, UsageQuery())] == [2]


async def test_long_names_fit(store: CallStore, router: Router, tenant: str) -> None:
    """Names from outside that are longer than a column are cut, and do not lose the row."""
    await store.add([call(router, tenant, "openai/" + "x" * 249, run_id="r" * 128)])
    assert (await store.usage(tenant, UsageQuery(run_id="r" * 64)))[0].calls == 1


async def test_spent(store: CallStore, router: Router, tenant: str) -> None:
    """What a tenant, a key, a run or a model took since a time: what budgets begin with."""
    calls = [
        call(router, tenant, run_id="r1"),
        call(router, tenant, run_id="r2"),
        call(router, tenant, "openai/unpriced", run_id="r1"),
        call(router, tenant, status="RATE_LIMITED"),
    ]
    calls[1].model = "claude-sonnet-5-5-20261001"
    await store.add(calls)
    since = min(item.create_time for item in calls)
    one = calls[0].cost_micros or 0
    assert one > 0

    async def spent(scope: Scope, id: str, after: datetime = since) -> tuple[int, int]:
        found = await store.spent(tenant, Subject(scope, id), after)
        return found.tokens, found.micros

    assert await spent("tenant", tenant) == (45, 2 * one)
    assert await spent("key", "abcdefghijkl") == (45, 2 * one)
    assert await spent("key", "another") == (0, 0)
    assert await spent("run", "r1") == (30, one)
    assert await spent("model", "anthropic/claude-sonnet-5-5") == (30, 2 * one)
    assert await spent("model", "anthropic/claude-sonnet-5") == (0, 0)
    assert await spent("model", "openai/unpriced") == (15, 0)
    assert await spent("tenant", tenant, calls[-1].create_time + timedelta(seconds=1)) == (0, 0)
    assert (await store.spent(new_id(), Subject("run", "r1"), since)).tokens == 0
