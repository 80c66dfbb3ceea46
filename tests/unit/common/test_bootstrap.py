"""The first start and every one after it: databases, tenant and keys."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from pentad_common.bootstrap import TENANT, bootstrap
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.errors import PentadError, StartupError
from pentad_common.keys import Key, authenticate


def urls(folder: Path) -> tuple[str, str]:
    """A database and a journal."""
    return f"sqlite:///{folder}/pentad.db", f"sqlite:///{folder}/journal.db"


def look_up(url: str, text: str) -> Key:
    """The key that `text` is."""
    database = Database(url)
    try:
        return database.run_sync(lambda session: authenticate(session, text), tenant=ALL_TENANTS)
    finally:
        database.close()


def test_a_first_start_makes_everything(tmp_path: Path) -> None:
    """Both databases are migrated; the three keys are good, and the admin's is in a file that only its owner
    reads.
    """
    state = tmp_path / "state"
    database, journal = urls(state)
    keys = bootstrap(database, journal, state / "key")
    assert (state / "key").read_text().strip() == keys["admin_key"]
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    found = {name: look_up(database, text) for name, text in keys.items()}
    assert {key.tenant_id for key in found.values()} == {TENANT}
    assert [found[name].role for name in ("admin_key", "service_key", "agent_key")] == [
        "admin",
        "service",
        "agent",
    ]
    assert found["agent_key"].agents == ("*",)
    for url in (database, journal):
        opened = Database(url)
        opened.check_schema()
        opened.close()


def test_the_next_start_keeps_the_admin_key_alone(tmp_path: Path) -> None:
    """The admin key stays; the processes' keys are new, and those before are revoked."""
    database, journal = urls(tmp_path)
    first = bootstrap(database, journal, tmp_path / "key")
    second = bootstrap(database, journal, tmp_path / "key")
    assert first["admin_key"] == second["admin_key"]
    for name in ("service_key", "agent_key"):
        assert look_up(database, second[name]).revoke_time is None
        with pytest.raises(PentadError) as caught:
            look_up(database, first[name])
        assert caught.value.reason == "API_KEY_REVOKED"


@pytest.mark.parametrize("content", ["", "nonsense", "pentad_aaaaaaaaaaaa_" + "x" * 43])
def test_a_key_file_without_a_good_key_gets_one(tmp_path: Path, content: str) -> None:
    """An empty, broken or foreign key file is replaced, with the right mode."""
    database, journal = urls(tmp_path)
    (tmp_path / "key").write_text(content)
    keys = bootstrap(database, journal, tmp_path / "key")
    assert look_up(database, keys["admin_key"]).role == "admin"
    assert (tmp_path / "key").read_text().strip() == keys["admin_key"]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def _not_a_database(folder: Path) -> None:
    (folder / "pentad.db").write_text("this is no database, but it is long enough to look at " * 20)


def _newer_schema(folder: Path) -> None:
    with sqlite3.connect(folder / "pentad.db") as connection:
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('9999')")


def _folder_in_the_way(folder: Path) -> None:
    (folder / "key").mkdir()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_not_a_database, "file is not a database"),
        (_newer_schema, "has schema 9999, newer than this version of Pentad"),
        (_folder_in_the_way, "key cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: object, text: str) -> None:
    """A file that is no database, a newer schema and an impossible key file are told in a sentence."""
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(StartupError, match=text):
        bootstrap(*urls(tmp_path), tmp_path / "key")


def test_a_state_dir_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file where the folder should be is told with its path."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StartupError, match="state"):
        bootstrap(*urls(tmp_path / "state"), tmp_path / "state" / "key")
