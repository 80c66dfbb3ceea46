"""The schema's version: what the database has, what this program needs, and the way from one to the other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from pentad_common.db import open_engine, parse_url
from pentad_common.errors import StartupError

MIGRATIONS = Path(__file__).parent / "migrations"


def known_revisions() -> list[str]:
    """Revisions of the chain, oldest first. Migrations are named `<revision>_<what>.py`, counting up."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def current_revision(engine: Engine) -> str | None:
    """The revision of the database; None if it is empty. Raises StartupError if it cannot be read."""
    try:
        with engine.connect() as connection:
            return connection.execute(text("select version_num from alembic_version")).scalar()
    except DatabaseError as error:
        if _is_missing_table(error):
            return None
        raise StartupError(f"{describe(engine)} cannot be used: {_first_line(error)}") from None


def check_schema(engine: Engine) -> None:
    """Raises StartupError, saying what to do, unless the database is at the newest revision."""
    found, known = current_revision(engine), known_revisions()
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise StartupError(
            f"{describe(engine)} has schema {found}, newer than this version of Pentad ({known[-1]}): "
            "use the newer Pentad, or another database"
        )
    state = "has no schema yet" if found is None else f"has schema {found}, and {known[-1]} is needed"
    raise StartupError(f"{describe(engine)} {state}: run `python -m pentad_common.db upgrade --url URL`")


def upgrade(url: str) -> None:
    """Brings the database at `url` to the newest revision. Raises StartupError if that cannot be done."""
    engine = open_engine(url, pool_size=1)
    try:
        found, known = current_revision(engine), known_revisions()
        if found == known[-1]:
            return
        if found is not None and found not in known:
            check_schema(engine)
        _migrate(engine)
    except (OperationalError, ProgrammingError) as error:
        raise StartupError(f"{describe(engine)} cannot be upgraded: {_first_line(error)}") from error
    finally:
        engine.dispose()


def _migrate(engine: Engine) -> None:
    from alembic import command  # 0.2 s and 20 MB, which no running service needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def describe(engine: Engine) -> str:
    """The database in words, without its password."""
    return f"database {engine.url.render_as_string(hide_password=True)}"


def _is_missing_table(error: DatabaseError) -> bool:
    return getattr(error.orig, "pgcode", None) == "42P01" or "no such table" in str(error.orig)


def _first_line(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]


def main() -> None:
    """`python -m pentad_common.db upgrade|check --url URL`."""
    parser = argparse.ArgumentParser(
        prog="python -m pentad_common.db", description="Pentad's database schema."
    )
    parser.add_argument(
        "command", choices=["upgrade", "check"], help="bring it to the newest version, or look"
    )
    parser.add_argument("--url", required=True, help="sqlite:///path or postgresql://user:password@host/name")
    options = parser.parse_args()
    try:
        if options.command == "upgrade":
            upgrade(options.url)
        else:
            check_schema(open_engine(parse_url(options.url)))
    except StartupError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
