"""Tenants: made and listed beside the database, by whoever runs Pentad. No API key can make one.

    python -m pentad_common.tenants create acme --database-url URL
    python -m pentad_common.tenants list --database-url URL

`create` prints one JSON object with the tenant's first key, of role admin, which makes all its others. It is
not shown again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import PentadError, StartupError
from pentad_common.keys import add_key
from pentad_common.models import Tenant

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,34}[a-z0-9])?")


def create_tenant(session: Session, tenant_id: str, name: str = "") -> str:
    """Makes a tenant; returns the text of its first admin key. Raises StartupError if the id is taken or
    malformed."""
    if not _ID.fullmatch(tenant_id):
        raise StartupError(f"{tenant_id!r} cannot be a tenant: 1 to 36 of a-z, 0-9 and -, no - at an end")
    if session.get(Tenant, tenant_id) is not None:
        raise StartupError(f"there is a tenant {tenant_id!r} already")
    session.add(Tenant(id=tenant_id, name=name or tenant_id))
    session.flush()
    return add_key(session, tenant_id, "first", "admin", [])[1]


def list_tenants(session: Session) -> list[dict[str, Any]]:
    """All of them, the oldest first."""
    found = session.scalars(select(Tenant).order_by(Tenant.create_time, Tenant.id))
    return [
        {"tenant_id": one.id, "name": one.name, "create_time": one.create_time.isoformat()} for one in found
    ]


def _run(options: argparse.Namespace) -> Any:
    database = Database(options.database_url, pool_size=1)
    try:
        database.check_schema()
        if options.action == "list":
            return database.run_sync(list_tenants, tenant=ALL_TENANTS)
        key = database.run_sync(
            lambda session: create_tenant(session, options.tenant, options.name), tenant=ALL_TENANTS
        )
        return {"tenant_id": options.tenant, "admin_key": key}
    finally:
        database.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m pentad_common.tenants", description=__doc__.split("\n")[0]
    )
    parser.add_argument("action", choices=("create", "list"))
    parser.add_argument("tenant", nargs="?", default="", help="the new tenant's id, such as acme")
    parser.add_argument("--name", default="", help="what people call it")
    parser.add_argument("--database-url", required=True, help="sqlite:///path or postgresql://…")
    options = parser.parse_args()
    if (options.action == "create") != bool(options.tenant):
        parser.error("`create` takes the tenant's id, `list` takes none")
    try:
        print(json.dumps(_run(options)))
    except (StartupError, PentadError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
