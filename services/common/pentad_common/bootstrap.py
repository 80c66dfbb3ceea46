"""Makes a database ready for `pentad up`: schema, the tenant `default`, and the keys of this start-up.

    python -m pentad_common.bootstrap --database-url URL --journal-url URL --key-file PATH

prints one JSON object: `admin_key` (kept in the key file, for people), `service_key` and `agent_key` (for the
processes; those of the start-up before are revoked).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from pentad_common.call import Role
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import StartupError, Unauthenticated, Unavailable
from pentad_common.keys import add_key, authenticate, revoke_named
from pentad_common.models import Tenant
from pentad_common.schema import upgrade

TENANT = "default"


def bootstrap(database_url: str, journal_url: str, key_file: Path) -> dict[str, str]:
    """Migrates both databases and returns the keys, by name. Raises StartupError for what the operator can
    mend.
    """
    _prepare_folder(key_file.parent)
    for url in dict.fromkeys((database_url, journal_url)):
        upgrade(url)
    database = Database(database_url, pool_size=1)
    try:
        return database.run_sync(lambda session: _keys(session, key_file), tenant=ALL_TENANTS)
    except Unavailable as error:
        raise StartupError(f"{database.url.render_as_string(hide_password=True)}: {error}") from error
    finally:
        database.close()


def _keys(session: Session, key_file: Path) -> dict[str, str]:
    if session.get(Tenant, TENANT) is None:
        session.add(Tenant(id=TENANT, name=TENANT))
        session.flush()
    return {
        "admin_key": _admin_key(session, key_file),
        "service_key": _fresh_key(session, "service", "pentad-up", []),
        "agent_key": _fresh_key(session, "agent", "pentad-up agent host", ["*"]),
    }


def _admin_key(session: Session, key_file: Path) -> str:
    """The key in the file if it is good, or else a new one, written there."""
    text = _read(key_file)
    try:
        key = authenticate(session, text)
        if key.tenant_id == TENANT and key.role == "admin":
            key_file.chmod(0o600)
            return text
    except Unauthenticated:
        pass
    _, text = add_key(session, TENANT, "pentad-up", "admin", [])
    _write(key_file, text)
    return text


def _fresh_key(session: Session, role: Role, name: str, agents: list[str]) -> str:
    revoke_named(session, TENANT, name, role)
    return add_key(session, TENANT, name, role, agents)[1]


def _prepare_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"{folder} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartupError(
            f"{folder} cannot be written to: check its owner and mode, or use another --state-dir"
        )


def _read(key_file: Path) -> str:
    try:
        return key_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(
            f"{key_file} cannot be read: {getattr(error, 'strerror', None) or 'not a text file'}"
        ) from None


def _write(key_file: Path, text: str) -> None:
    """Atomically, and never readable by others, not even for a moment."""
    fresh = key_file.with_name(key_file.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        fresh.replace(key_file)
    except OSError as error:
        raise StartupError(f"{key_file} cannot be written: {error.strerror}") from None


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m pentad_common.bootstrap", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--database-url", required=True, help="sqlite:///path or postgresql://…")
    parser.add_argument("--journal-url", required=True, help="the bus's database; may be the same")
    parser.add_argument("--key-file", required=True, type=Path, help="where the admin key is kept, mode 0600")
    options = parser.parse_args()
    os.umask(0o077)  # what users' agents say to each other is in these files
    try:
        print(json.dumps(bootstrap(options.database_url, options.journal_url, options.key_file)))
    except StartupError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
