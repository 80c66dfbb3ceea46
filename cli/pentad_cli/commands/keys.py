"""`pentad keys`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pentad_cli.options import SPAN, json_option
from pentad_cli.session import take, with_pentad
from pentad_cli.terminal import say
from pentad_cli.tree import group

if TYPE_CHECKING:
    from pentad.registry.v1 import registry_pb2
    from pentad_client import Pentad

ROLES = ("admin", "client", "agent")


@group("keys", examples="pentad keys create ci --role client --ttl 30d\npentad keys list")
def keys() -> None:
    """Make, list and revoke API keys. Needs the key of an admin."""


@keys.command(
    "create",
    examples="""
    pentad keys create dashboard                                   may start and read runs
    pentad keys create crawler --role agent --agent crawler        may act as that agent
    export PENTAD_API_KEY=$(pentad keys create ci --ttl 30d)
    """,
)
@click.argument("name")
@click.option(
    "--role", type=click.Choice(ROLES), default="client", show_default=True, help="What it may be used for."
)
@click.option(
    "--agent",
    "agents",
    multiple=True,
    metavar="NAME",
    help="With --role agent: who it may act as; '*' is anyone.",
)
@click.option("--ttl", type=SPAN, help="How long it lasts, such as 30d. [default: until it is revoked]")
@json_option("One JSON object, with the key as `secret`.")
def create(name: str, role: str, agents: tuple[str, ...], ttl: timedelta | None, as_json: bool) -> None:
    """Make a key and print it. It cannot be shown again."""
    from pentad_cli.table import show_json

    key, secret = with_pentad(lambda pentad: pentad.keys.create(name, role, agents, ttl))
    if as_json:
        show_json({**_document(key), "secret": secret})
        return
    say(f"key {key.key_id} ({role}); this is the only time that it is shown:")
    print(secret)


@keys.command("list", examples="pentad keys list --all\npentad keys list --json | jq -r '.[].key_id'")
@click.option("-a", "--all", "ended", is_flag=True, help="Revoked and expired ones too.")
@json_option("One JSON array.")
def list_keys(ended: bool, as_json: bool) -> None:
    """List the keys, newest first, without their secrets."""
    from pentad_cli.table import show_json, show_table

    async def read(pentad: Pentad) -> list[registry_pb2.Key]:
        return await take(pentad.keys.list(include_ended=ended), 0)

    documents = [_document(key) for key in with_pentad(read)]
    if as_json:
        show_json(documents)
        return
    headings = ("key id", "name", "role", "agents", "created", "expires", "revoked")
    rows = [list({**document, "agents": ", ".join(document["agents"])}.values()) for document in documents]
    show_table(headings, rows, "no keys")


@keys.command("revoke", examples="pentad keys revoke 8fj2k0s1m4xz")
@click.argument("key_id")
@json_option("The key as it stands now, as one JSON object.")
def revoke(key_id: str, as_json: bool) -> None:
    """End a key: within a second it is refused everywhere."""
    from pentad_cli.table import show_json

    key = with_pentad(lambda pentad: pentad.keys.revoke(_id_of(key_id)))
    if as_json:
        show_json(_document(key))
    else:
        print(f"key {key.key_id} ({key.name}) is revoked")


def _id_of(text: str) -> str:
    """The id, also of someone who pastes the whole key."""
    parts = text.split("_")
    return parts[1] if len(parts) >= 3 and parts[0] == "pentad" else text


def _document(key: registry_pb2.Key) -> dict[str, Any]:
    from pentad_cli.run_document import moment
    from pentad_cli.units import iso_time
    from pentad_client.keys import role_name

    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": role_name(key.role),
        "agents": list(key.agents),
        "created": iso_time(moment(key, "create_time")),
        "expires": iso_time(moment(key, "expire_time")),
        "revoked": iso_time(moment(key, "revoke_time")),
    }
