"""`pentad context`."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pentad_cli.content import guess_type, read_value
from pentad_cli.failure import Exit
from pentad_cli.options import SPAN, json_option, limit_option
from pentad_cli.session import take, with_pentad
from pentad_cli.tree import group

if TYPE_CHECKING:
    from collections.abc import Callable

    from pentad.context.v1 import context_pb2
    from pentad_client import Pentad


@group("context", examples="pentad context put plans/today '{\"steps\": 3}'\npentad context list plans/")
def context() -> None:
    """Read and write the state that agents and runs share."""


def address_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the entry is: `namespace` and `scope`."""
    function = click.option(
        "--run", "run_id", default="", metavar="RUN", help="State of this run, not of the tenant."
    )(function)
    return click.option(
        "--namespace", default="", metavar="AGENT", help="An agent's own namespace. [default: global]"
    )(function)


@context.command(
    "get", examples="pentad context get plans/today\npentad context get plans/today --revision 12"
)
@click.argument("key")
@address_options
@click.option("--revision", type=click.IntRange(min=0), default=0, help="What it was then. [default: now]")
@json_option("The whole entry as one JSON object.")
def get(key: str, namespace: str, run_id: str, revision: int, as_json: bool) -> None:
    """Print the value of KEY, as it was written."""
    from pentad_cli.entry_document import entry_document
    from pentad_cli.table import show_json

    entry = with_pentad(
        lambda pentad: pentad.context.get(key, namespace, scope=_scope(run_id), revision=revision)
    )
    if as_json:
        show_json(entry_document(entry))
        return
    sys.stdout.buffer.write(entry.content.data)
    if sys.stdout.isatty() and not entry.content.data.endswith(b"\n"):
        print()


@context.command(
    "put",
    examples="""
    pentad context put plans/today '{"steps": 3}'
    pentad context put notes/1 "remember the milk" --ttl 1h
    pentad context put notes/2 --file notes.md
    pentad context put plans/today '{"steps": 4}' --if-revision 12
    pentad context put visits 1 --reducer increment
    """,
)
@click.argument("key")
@click.argument("value", required=False)
@address_options
@click.option("-f", "--file", metavar="FILE", help="Take the value from a file; - is standard input.")
@click.option(
    "--type", "content_type", default="", help="Its media type. [default: JSON if it is, else text]"
)
@click.option("--ttl", type=SPAN, help="How long it lasts, such as 1h. [default: until it is deleted]")
@click.option("--if-revision", type=click.IntRange(min=0), help="Only if it still has this revision.")
@click.option("--if-absent", is_flag=True, help="Only if there is none yet.")
@click.option(
    "--reducer",
    type=click.Choice(["append", "merge", "increment"]),
    default=None,
    help="Join it with what is there.",
)
@json_option("The entry as one JSON object.")
def put(
    key: str, value: str | None, namespace: str, run_id: str, file: str | None, as_json: bool, **given: Any
) -> None:
    """Write VALUE at KEY; the same place may hold JSON, text or any bytes."""
    from pentad_cli.entry_document import entry_document
    from pentad_cli.table import show_json

    data = read_value(value, file, "pentad context put greeting hello")
    ttl: timedelta | None = given["ttl"]
    options: dict[str, Any] = {
        "scope": _scope(run_id),
        "content_type": given["content_type"] or guess_type(data, file),
        "ttl": ttl.total_seconds() if ttl else None,
        "reducer": given["reducer"] or "",
        "if_revision": 0 if given["if_absent"] else given["if_revision"],
    }
    entry = with_pentad(lambda pentad: pentad.context.put(key, data, namespace, **options))
    if as_json:
        show_json(entry_document(entry))
    else:
        print(f"{key} has revision {entry.revision}")


@context.command("delete", examples="pentad context delete plans/today")
@click.argument("key")
@address_options
@click.option("--if-revision", type=click.IntRange(min=0), help="Only if it still has this revision.")
def delete(key: str, namespace: str, run_id: str, if_revision: int | None) -> int:
    """Remove KEY; its history stays. Exit code 1 if there was none."""
    was_there = with_pentad(
        lambda pentad: pentad.context.delete(key, namespace, scope=_scope(run_id), if_revision=if_revision)
    )
    print(f"{key} is deleted" if was_there else f"there is no {key}")
    return Exit.OK if was_there else Exit.FAILED


@context.command("list", examples="pentad context list\npentad context list plans/ --json | jq -r '.[].key'")
@click.argument("prefix", default="")
@address_options
@limit_option(100)
@json_option("One JSON array of entries with their values.")
def list_entries(prefix: str, namespace: str, run_id: str, limit: int, as_json: bool) -> None:
    """List entries whose key starts with PREFIX, by key."""

    async def read(pentad: Pentad) -> list[context_pb2.Entry]:
        return await take(pentad.context.list(prefix, namespace, scope=_scope(run_id)), limit)

    _show_entries(with_pentad(read), as_json, "no entries")


@context.command("history", examples="pentad context history plans/today")
@click.argument("key")
@address_options
@limit_option(20)
@json_option("One JSON array, newest first.")
def history(key: str, namespace: str, run_id: str, limit: int, as_json: bool) -> None:
    """List what KEY was over time, newest first."""

    async def read(pentad: Pentad) -> list[context_pb2.Entry]:
        return await take(pentad.context.history(key, namespace, scope=_scope(run_id)), limit)

    _show_entries(with_pentad(read), as_json, f"{key} was never written")


@context.command(
    "watch", examples="pentad context watch plans/\npentad context watch --current --json | jq .key"
)
@click.argument("prefix", default="")
@address_options
@click.option("--current", is_flag=True, help="First what is there now.")
@click.option(
    "--after-revision", type=click.IntRange(min=0), default=0, help="First what changed after this one."
)
@json_option("One JSON object a line, as they come.")
def watch(
    prefix: str, namespace: str, run_id: str, current: bool, after_revision: int, as_json: bool
) -> None:
    """Print changes of entries whose key starts with PREFIX as they happen, until Ctrl-C."""
    from pentad_cli.entry_document import entry_document, entry_row
    from pentad_cli.table import show_json_line
    from pentad_cli.terminal import plain

    async def follow(pentad: Pentad) -> None:
        changes = pentad.context.watch(
            prefix, namespace, scope=_scope(run_id), include_current=current, after_revision=after_revision
        )
        async for change in changes:
            if not change.HasField("entry"):
                continue
            if as_json:
                show_json_line(entry_document(change.entry))
            else:
                print("\t".join(plain(str(cell)) for cell in entry_row(change.entry)), flush=True)

    with_pentad(follow)


def _show_entries(entries: list[context_pb2.Entry], as_json: bool, empty: str) -> None:
    from pentad_cli.entry_document import HEADINGS, entry_document, entry_row
    from pentad_cli.table import show_json, show_table

    if as_json:
        show_json([entry_document(entry) for entry in entries])
    else:
        show_table(HEADINGS, [entry_row(entry) for entry in entries], empty)


def _scope(run_id: str) -> str:
    return f"runs/{run_id}" if run_id else "tenant"
