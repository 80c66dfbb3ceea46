"""Calls in the table `llm_calls`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, insert, or_, select
from sqlalchemy.orm import Session

from pentad_common.db import ALL_TENANTS, Database
from pentad_common.models import LlmCall
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.catalog import CURRENCY
from pentad_llm_gateway.completion import Usage
from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.counters import Spent
from pentad_llm_gateway.store.base import ModelUsage, UsageQuery


class SqlCallStore:
    """See CallStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, calls: Sequence[CallRecord]) -> None:
        """See CallStore."""
        rows = [row(call) for call in calls]
        await self._database.run(lambda session: _insert(session, rows), tenant=ALL_TENANTS)

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """See CallStore."""
        statement = _sums(tenant, query)
        found = await self._database.read(lambda session: session.execute(statement).all(), tenant=tenant)
        return [_model_usage(item) for item in found]

    async def spent(self, tenant: str, subject: Subject, since: datetime) -> Spent:
        """See CallStore."""
        statement = _spent(tenant, subject, since)
        requests, tokens, micros = await self._database.read(
            lambda session: session.execute(statement).one(), tenant=tenant
        )
        return Spent(int(requests), int(tokens or 0), int(micros or 0))


def _insert(session: Session, rows: list[dict[str, Any]]) -> None:
    known = set(session.scalars(select(LlmCall.id).where(LlmCall.id.in_([item["id"] for item in rows]))))
    fresh = [item for item in rows if item["id"] not in known]
    if fresh:
        session.execute(insert(LlmCall), fresh)


def row(call: CallRecord) -> dict[str, Any]:
    """A call as a row."""
    usage, served, cost = call.usage, call.served(), call.cost_micros
    first = served.time_to_first_token
    return {
        "id": call.id,
        "tenant_id": call.caller.tenant_id,
        "key_id": call.caller.key_id[:12],
        "run_id": _text(call.caller.run_id or "", 64) or None,
        "agent": _text(call.caller.agent or "", 128) or None,
        "requested_model": _text(served.requested_model, 255),
        "served_model": _text(served.model, 255),
        "provider": served.provider[:64],
        "status": call.status[:64],
        "finish_reason": call.finish_reason,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "estimated": usage.estimated,
        "cost_micros": cost,
        "currency_code": None if cost is None else CURRENCY,
        "streamed": call.streamed,
        "cached": served.cached,
        "attempts": served.attempts,
        "duration_ms": round(served.latency * 1000),
        "first_token_ms": None if first is None else round(first * 1000),
        "provider_request_id": _text(served.provider_request_id, 128),
        "create_time": call.create_time,
        "finish_time": call.create_time + timedelta(seconds=served.latency),
    }


def _text(value: str, width: int) -> str:
    """Text from outside, as the databases take it: cut to the column's width, without NUL."""
    return value.replace("\0", "")[:width]


def _sums(tenant: str, query: UsageQuery) -> Select[*tuple[Any, ...]]:
    counts = (
        LlmCall.input_tokens,
        LlmCall.output_tokens,
        LlmCall.cached_input_tokens,
        LlmCall.reasoning_tokens,
    )
    statement = (
        select(
            LlmCall.provider,
            LlmCall.served_model,
            *(func.sum(column) for column in counts),
            func.max(case((LlmCall.estimated, 1), else_=0)),
            func.sum(LlmCall.cost_micros),
            func.count(),
            func.sum(case((LlmCall.status != "OK", 1), else_=0)),
        )
        .where(LlmCall.tenant_id == tenant)
        .group_by(LlmCall.provider, LlmCall.served_model)
        .order_by(LlmCall.provider, LlmCall.served_model)
    )
    if query.start is not None:
        statement = statement.where(LlmCall.create_time >= query.start)
    if query.end is not None:
        statement = statement.where(LlmCall.create_time < query.end)
    if query.run_id:
        statement = statement.where(LlmCall.run_id == query.run_id)
    if query.agent:
        statement = statement.where(LlmCall.agent == query.agent)
    return statement


def _spent(tenant: str, subject: Subject, since: datetime) -> Select[*tuple[Any, ...]]:
    statement = select(
        func.count(),
        func.sum(LlmCall.input_tokens + LlmCall.output_tokens),
        func.sum(LlmCall.cost_micros),
    ).where(LlmCall.tenant_id == tenant, LlmCall.create_time >= since)
    match subject.scope:
        case "key":
            return statement.where(LlmCall.key_id == subject.id[:12])
        case "run":
            return statement.where(LlmCall.run_id == subject.id[:64])
        case "model":
            provider, _, model = subject.id.partition("/")
            # Providers may tell of a model by the name of the version that served: gpt-6-luna-2026-10-01.
            names = (LlmCall.served_model == model[:255], LlmCall.requested_model.in_([model, subject.id]))
            dated = LlmCall.served_model.startswith(f"{model}-2", autoescape=True)
            return statement.where(LlmCall.provider == provider[:64], or_(*names, dated))
        case _:
            return statement


def summed_usage(found: Sequence[Any]) -> Usage:
    """The usage of a row of sums: tokens of input, of output, cached ones, of reasoning, and whether any are
    estimated. PostgreSQL's are decimals."""
    inputs, outputs, cached, reasoning, estimated = found
    return Usage(
        input_tokens=int(inputs),
        output_tokens=int(outputs),
        cached_input_tokens=int(cached),
        reasoning_tokens=int(reasoning),
        estimated=bool(estimated),
    )


def _model_usage(found: Any) -> ModelUsage:
    provider, model, *tokens, cost, calls, failures = found
    usage = summed_usage(tokens)
    return ModelUsage(provider, model, usage, int(calls), int(failures), None if cost is None else int(cost))
