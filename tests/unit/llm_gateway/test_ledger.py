"""The ledger: nothing is lost, nobody waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import IntegrityError

from pentad_common.call import CallContext
from pentad_common.errors import Unavailable
from pentad_llm_gateway import ledger as ledger_module
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.catalog import load_catalog
from pentad_llm_gateway.completion import Completion, Finished, Message, Opened, Text, TextDelta, Usage
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.counters import Spent
from pentad_llm_gateway.metrics import observe
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.store.base import ModelUsage, UsageQuery


class Shelf:
    """A CallStore that fails as often as it is told, and always for a record it refuses."""

    def __init__(self, failures: int = 0, refused: str = "") -> None:
        self.failures = failures
        self.refused = refused
        self.batches: list[list[str]] = []

    async def add(self, calls: Sequence[CallRecord]) -> None:
        """See CallStore."""
        if self.failures:
            self.failures -= 1
            raise Unavailable("DATABASE_UNAVAILABLE", "away", retry_after=1)
        if self.refused in [call.id for call in calls]:
            raise IntegrityError("insert", {}, Exception("foreign key"))
        self.batches.append([call.id for call in calls])

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """See CallStore."""
        return []

    async def spent(self, tenant: str, subject: Subject, since: datetime) -> Spent:
        """See CallStore."""
        return Spent()

    @property
    def kept(self) -> list[str]:
        """All ids, in the order in which they were kept."""
        return [call_id for batch in self.batches for call_id in batch]


@pytest.fixture
def router(no_provider_keys: None) -> Router:
    """A router over the catalog."""
    catalog = load_catalog()
    settings = GatewaySettings(database_url="sqlite:///x", anthropic_api_key="k")
    return Router(ProviderFactory(settings, catalog), catalog)


def call(router: Router) -> CallRecord:
    """A call that has begun."""
    caller = CallContext(tenant_id="t", key_id="k", role="client")
    asked = Completion("", (Message("user", (Text("how are you " * 10),)),))
    return CallRecord(caller, router.resolve("anthropic"), asked, True)


async def test_everything_is_kept_in_order(router: Router) -> None:
    """What was recorded is kept once, in order, in batches."""
    shelf = Shelf()
    ledger = Ledger(shelf)
    ids = []
    for _ in range(1200):
        record = call(router)
        ids.append(record.id)
        ledger.record(record)
    await ledger.flush()
    assert shelf.kept == ids
    assert len(shelf.batches) == 3


async def test_kept_once_the_database_is_back(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is away records wait; when it is back they are kept."""
    monkeypatch.setattr(ledger_module, "_RETRY_SECONDS", 0.01)
    shelf = Shelf(failures=3)
    ledger = Ledger(shelf)
    record = call(router)
    ledger.record(record)
    await ledger.close()
    assert shelf.kept == [record.id]


async def test_one_bad_record_does_not_hold_up_the_others(router: Router) -> None:
    """A record that the database will never take is given up; the others are kept."""
    records = [call(router) for _ in range(3)]
    shelf = Shelf(refused=records[1].id)
    ledger = Ledger(shelf)
    for record in records:
        ledger.record(record)
    assert await ledger.flush()
    assert shelf.kept == [records[0].id, records[2].id]


async def test_close_does_not_wait_for_ever(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stays away does not keep the process from ending."""
    monkeypatch.setattr(ledger_module, "_RETRY_SECONDS", 0.01)
    shelf = Shelf(failures=1_000_000)
    ledger = Ledger(shelf)
    ledger.record(call(router))
    await ledger.close(seconds=0.1)
    assert shelf.kept == []


async def test_the_oldest_goes_when_there_are_too_many(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pile has a bound: beyond it the oldest records are given up."""
    monkeypatch.setattr(ledger_module, "_MOST_PENDING", 3)
    monkeypatch.setattr(ledger_module, "_RETRY_SECONDS", 0.01)
    shelf = Shelf()
    ledger = Ledger(shelf)
    records = [call(router) for _ in range(5)]
    for record in records:
        ledger.record(record)
    await ledger.flush()
    assert shelf.kept == [record.id for record in records[2:]]


def test_usage_of_a_cut_answer(router: Router) -> None:
    """What went over the wire before the cut is estimated; the provider's own counts go before."""
    record = call(router)
    record.see(Opened("m", "req", Usage(input_tokens=50, output_tokens=1)))
    record.see(TextDelta("some words that came"))
    record.end("PROVIDER_UNAVAILABLE")
    usage = record.usage
    assert (usage.input_tokens, usage.estimated) == (50, True)
    assert 4 <= usage.output_tokens <= 8
    assert record.cost_micros == 50 * 2 + usage.output_tokens * 10


def test_usage_of_an_answer_nobody_waited_for(router: Router) -> None:
    """A call given up without an answer may have been read: its input is estimated, if it was sent."""
    sent, queued = call(router), call(router)
    sent.asked = True
    for record in (sent, queued):
        record.end("CANCELLED")
    assert sent.usage.estimated and sent.usage.input_tokens > 20
    assert queued.usage == Usage()


def test_counted_in_metrics(router: Router) -> None:
    """Tokens and durations are counted by provider and model; a model that is not known is `other`."""

    def tokens(kind: str) -> float:
        labels = {"gen_ai_provider_name": "anthropic", "gen_ai_request_model": "claude-sonnet-5-5"}
        labels["gen_ai_token_type"] = kind
        return REGISTRY.get_sample_value("gen_ai_client_token_usage_total", labels) or 0

    before = tokens("input"), tokens("output")
    record = call(router)
    record.see(Finished("stop", Usage(7, 3)))
    record.end()
    observe(record)
    assert (tokens("input") - before[0], tokens("output") - before[1]) == (7, 3)
    assert record.target.label == "claude-sonnet-5-5"
    record.target = replace(record.target, model="from-outside")
    assert record.target.label == "other"


def test_usage_of_a_whole_answer(router: Router) -> None:
    """The provider's counts go before any estimate; a call that was refused used nothing."""
    record = call(router)
    record.see(TextDelta("some words"))
    record.see(Finished("stop", Usage(7, 3)))
    assert (record.usage, record.finish_reason) == (Usage(7, 3), "stop")
    refused = call(router)
    refused.end("RATE_LIMITED")
    refused.end("CANCELLED")
    assert (refused.usage, refused.status) == (Usage(), "RATE_LIMITED")
    assert cast(float, refused.ended) >= refused.started
