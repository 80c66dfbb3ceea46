"""API keys: `pentad_<id>_<secret>`. The database keeps the SHA-256 of the secret; the tenant comes from the
key alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast, get_args

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pentad_common.call import Role, check_agent_name
from pentad_common.clock import utcnow
from pentad_common.cursor import cut_page, decode_cursor, encode_cursor
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PentadError,
    PermissionDenied,
    Unauthenticated,
)
from pentad_common.models import ApiKey, AuditEvent, Tenant

_KEY = re.compile(r"pentad_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    key_id: str
    tenant_id: str
    name: str
    role: Role
    agents: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None

    def ended(self) -> PentadError | None:
        """Why the key is no longer good; None while it is."""
        if self.revoke_time is not None:
            return Unauthenticated(
                "API_KEY_REVOKED", f"API key {self.key_id} was revoked", key_id=self.key_id
            )
        if self.expire_time is not None and self.expire_time <= utcnow():
            return Unauthenticated(
                "API_KEY_EXPIRED", f"API key {self.key_id} has expired", key_id=self.key_id
            )
        return None


def mint() -> tuple[str, str]:
    """A new key's id and secret."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(12)), secrets.token_urlsafe(32)


def key_text(key_id: str, secret: str) -> str:
    """The key as its holder writes it."""
    return f"pentad_{key_id}_{secret}"


def digest(secret: str) -> bytes:
    """What the database keeps. A plain hash is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def invalid_key() -> Unauthenticated:
    """The one answer to a key that is malformed, unknown or has the wrong secret."""
    return Unauthenticated(
        "API_KEY_INVALID", "this API key is not valid; `pentad keys list` shows those that are"
    )


Keys = list[Key]


class KeyStore:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def authenticate(self, text: str) -> Key:
        """The key that `text` is. Raises Unauthenticated API_KEY_INVALID, _REVOKED or _EXPIRED."""
        return await self._database.read(lambda session: authenticate(session, text), tenant=ALL_TENANTS)

    async def lookup(self, key_ids: Collection[str]) -> dict[str, Key]:
        """Those of `key_ids` that exist, as they are now."""
        query = select(ApiKey).where(ApiKey.id.in_(key_ids))
        rows = await self._database.read(lambda session: list(session.scalars(query)), tenant=ALL_TENANTS)
        return {row.id: _to_key(row) for row in rows}

    async def tenant_exists(self, tenant_id: str) -> bool:
        """Whether there is such a tenant."""
        return (
            await self._database.read(lambda session: session.get(Tenant, tenant_id), tenant=ALL_TENANTS)
            is not None
        )

    async def create(
        self,
        tenant: str,
        *,
        name: str,
        role: Role,
        agents: Iterable[str] = (),
        expire_time: datetime | None = None,
        request_id: str | None = None,
        by: str | None = None,
    ) -> tuple[Key, str]:
        """A new key and its text, which cannot be had again. `by`: id of the key that asks, for the audit.

        Raises InvalidArgument INVALID_KEY_REQUEST, AlreadyExists KEY_EXISTS; and when a caller asks for a
        key of role service, which acts for every tenant, PermissionDenied SERVICE_KEY_REFUSED.
        """
        granted = _check_request(role, agents, expire_time)
        if role == "service" and by is not None:
            raise PermissionDenied(
                "SERVICE_KEY_REFUSED",
                "keys of role service act for every tenant and are made beside the database alone, by "
                "`python -m pentad_common.bootstrap`",
            )

        def insert(session: Session) -> tuple[Key, str]:
            key, text = add_key(session, tenant, name, role, granted, expire_time, request_id)
            _audit(session, tenant, by, "key.create", key_id=key.key_id, role=role, name=name)
            return key, text

        try:
            return await self._database.run(insert, tenant=tenant)
        except IntegrityError:
            if not request_id:
                raise
            raise AlreadyExists(
                "KEY_EXISTS", "a key was already made for this request_id; its secret cannot be shown again"
            ) from None

    async def list(
        self, tenant: str, *, include_ended: bool = False, size: int = 100, page_token: str = ""
    ) -> tuple[Keys, str]:
        """A page of the tenant's keys, newest first, and the token of the next page ("" on the last)."""
        query = select(ApiKey).where(ApiKey.tenant_id == tenant)
        if not include_ended:
            query = query.where(
                ApiKey.revoke_time.is_(None), or_(ApiKey.expire_time.is_(None), ApiKey.expire_time > utcnow())
            )
        if page_token:
            time, key_id = _position(page_token)
            earlier = or_(ApiKey.create_time < time, (ApiKey.create_time == time) & (ApiKey.id < key_id))
            query = query.where(earlier)
        query = query.order_by(ApiKey.create_time.desc(), ApiKey.id.desc()).limit(size + 1)
        rows, last = cut_page(
            await self._database.read(lambda session: list(session.scalars(query)), tenant=tenant), size
        )
        token = encode_cursor("keys", last.create_time.isoformat(), last.id) if last else ""
        return [_to_key(row) for row in rows], token

    async def revoke(self, tenant: str, key_id: str, *, by: str | None = None) -> Key:
        """Ends a key; one that had ended stays as it is.

        Raises NotFound KEY_NOT_FOUND, FailedPrecondition LAST_ADMIN_KEY.
        """

        def end(session: Session) -> Key:
            row = session.get(ApiKey, key_id, with_for_update=True)
            if row is None or row.tenant_id != tenant:
                raise NotFound(
                    "KEY_NOT_FOUND",
                    f"there is no key {key_id!r}; `pentad keys list` shows what there is",
                    key_id=key_id,
                )
            if row.revoke_time is None:
                _keep_an_admin(session, row)
                row.revoke_time = utcnow()
                _audit(session, tenant, by, "key.revoke", key_id=key_id)
            return _to_key(row)

        return await self._database.run(end, tenant=tenant)

    async def audit(self, tenant: str, key_id: str, action: str, **detail: object) -> None:
        """Keeps a row about something that the holder of `key_id` did or tried."""
        await self._database.run(
            lambda session: _audit(session, tenant, key_id, action, **detail), tenant=tenant
        )


def authenticate(session: Session, text: str) -> Key:
    """The key that `text` is, within a transaction. Raises as `KeyStore.authenticate`."""
    match = _KEY.fullmatch(text)
    row = session.get(ApiKey, match[1]) if match else None
    expected = row.secret_sha256 if row else bytes(32)
    matches = hmac.compare_digest(expected, digest(match[2] if match else ""))
    if row is None or not matches:
        raise invalid_key()
    key = _to_key(row)
    if error := key.ended():
        raise error
    return key


def add_key(
    session: Session,
    tenant: str,
    name: str,
    role: Role,
    agents: list[str],
    expire_time: datetime | None = None,
    request_id: str | None = None,
) -> tuple[Key, str]:
    """Inserts a key within a transaction; returns it and its text."""
    key_id, secret = mint()
    row = ApiKey(
        id=key_id,
        tenant_id=tenant,
        name=name,
        role=role,
        agents=agents,
        secret_sha256=digest(secret),
        expire_time=expire_time,
        request_id=request_id or None,
    )
    session.add(row)
    session.flush()
    return _to_key(row), key_text(key_id, secret)


def revoke_named(session: Session, tenant: str, name: str, role: Role) -> None:
    """Ends the keys of that name and role that are still good."""
    query = select(ApiKey).where(
        ApiKey.tenant_id == tenant, ApiKey.name == name, ApiKey.role == role, ApiKey.revoke_time.is_(None)
    )
    for row in session.scalars(query):
        row.revoke_time = utcnow()


def _check_request(role: str, agents: Iterable[str], expire_time: datetime | None) -> list[str]:
    granted = list(dict.fromkeys(agents))
    problem: tuple[str, str] | None = None
    if role not in get_args(Role):
        problem = ("role", f"must be one of {', '.join(get_args(Role))}")
    elif role == "agent" and not granted:
        problem = ("agents", "a key of role agent names at least one agent, or '*' for all")
    elif role != "agent" and granted:
        problem = ("agents", "only a key of role agent names agents")
    elif expire_time is not None and expire_time <= utcnow():
        problem = ("ttl", "must be in the future")
    if problem:
        raise InvalidArgument("INVALID_KEY_REQUEST", f"{problem[0]}: {problem[1]}", violations=[problem])
    for name in granted:
        if name != "*":
            check_agent_name(name)
    return granted


def _keep_an_admin(session: Session, row: ApiKey) -> None:
    """Raises LAST_ADMIN_KEY if without `row` nobody could manage the tenant's keys."""
    if row.role != "admin":
        return
    others = select(func.count()).where(
        ApiKey.tenant_id == row.tenant_id,
        ApiKey.role == "admin",
        ApiKey.id != row.id,
        ApiKey.revoke_time.is_(None),
        or_(ApiKey.expire_time.is_(None), ApiKey.expire_time > utcnow()),
    )
    if not session.scalar(others):
        raise FailedPrecondition(
            "LAST_ADMIN_KEY", "this is the last admin key; create another before you revoke it", key_id=row.id
        )


def _audit(session: Session, tenant: str, by: str | None, action: str, **detail: object) -> None:
    session.add(AuditEvent(tenant_id=tenant, key_id=by, action=action, detail=detail))


def _position(page_token: str) -> tuple[datetime, str]:
    try:
        time, key_id = decode_cursor("keys", page_token)
        return datetime.fromisoformat(time), str(key_id)
    except (ValueError, TypeError):
        raise InvalidArgument("CURSOR_INVALID", f"{page_token!r} is not a page token of keys") from None


def _to_key(row: ApiKey) -> Key:
    return Key(
        key_id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        role=cast(Role, row.role),
        agents=tuple(row.agents),
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
    )
