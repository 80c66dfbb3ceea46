"""What requests with an id did, so that a repeat gets the same answer."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from pentad_common.models import ContextHistory, ContextRequest
from pentad_context.model import Address, Entry, Outcome
from pentad_context.store import Done, Request
from pentad_context.store.rows import at, to_entry


def find(session: Session, tenant: str, request: Request) -> Done | None:
    """What the request did when it was made before; None if it was not."""
    query = select(ContextRequest).where(
        ContextRequest.tenant_id == tenant,
        ContextRequest.writer == request.writer,
        ContextRequest.request_id == request.request_id,
    )
    row = session.scalar(query)
    if row is None:
        return None
    results = tuple(_entry(session, tenant, item) for item in row.answer["results"])
    outcome = Outcome(results, row.answer["revision"], succeeded=row.answer["succeeded"])
    return Done(outcome, row.fingerprint)


def keep(session: Session, tenant: str, request: Request, outcome: Outcome) -> None:
    """Notes what a request did; results as the places in history where they are."""
    answer = {
        "succeeded": outcome.succeeded,
        "revision": outcome.revision,
        "results": [[*item.address, item.revision] if item else None for item in outcome.results],
    }
    row = ContextRequest(
        tenant_id=tenant,
        writer=request.writer,
        request_id=request.request_id,
        fingerprint=request.fingerprint,
        answer=answer,
    )
    session.add(row)


def _entry(session: Session, tenant: str, place: list[Any] | None) -> Entry | None:
    if place is None:
        return None
    scope, namespace, key, revision = place
    where = and_(
        at(ContextHistory, tenant, Address(scope, namespace, key)), ContextHistory.revision == revision
    )
    row = session.scalar(select(ContextHistory).where(where))
    return to_entry(row) if row is not None else None
