"""`pentad tenants`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import click

from pentad_cli import launch
from pentad_cli.failure import CliError
from pentad_cli.options import json_option
from pentad_cli.terminal import say
from pentad_cli.tree import chosen_state_dir, group


@group("tenants", examples="pentad tenants create acme\npentad tenants list")
def tenants() -> None:
    """Make and list tenants, of the Pentad whose state is on this machine.

    A tenant's agents, runs, messages, state and keys are apart from everyone else's.
    """


@tenants.command(
    "create",
    examples="""
    pentad tenants create acme
    PENTAD_API_KEY=$(pentad tenants create acme) && export PENTAD_API_KEY
    """,
)
@click.argument("tenant")
@click.option("--name", default="", metavar="NAME", help="What people call it. [default: TENANT]")
@json_option("One JSON object, with the key as `admin_key`.")
def create(tenant: str, name: str, as_json: bool) -> None:
    """Make TENANT, and print the key of its first admin. It cannot be shown again."""
    from pentad_cli.table import show_json

    document = _ask("create", tenant, *(["--name", name] if name else []))
    if as_json:
        show_json(document)
        return
    say(f"tenant {tenant}; its admin's key, and this is the only time that it is shown:")
    print(document["admin_key"])


@tenants.command("list", examples="pentad tenants list --json | jq -r '.[].tenant_id'")
@json_option("One JSON array.")
def list_tenants(as_json: bool) -> None:
    """List the tenants, the oldest first."""
    from pentad_cli.table import show_json, show_table

    found = _ask("list")
    if as_json:
        show_json(found)
    else:
        show_table(("tenant", "name", "created"), [list(one.values()) for one in found], "no tenants")


def _ask(action: str, *arguments: str) -> Any:
    """What `python -m pentad_common.tenants` answers about the database in the state directory."""
    from pentad_cli.state import current_state_dir

    state = current_state_dir(chosen_state_dir())
    if not state.key_file.exists():
        raise CliError(
            "NOT_PREPARED", f"there is no Pentad in {state.path} yet", "Start it first: pentad up --detach"
        )
    command = launch.command("pentad_common.tenants", action, *arguments)
    done = subprocess.run(
        [*command, "--database-url", state.database_url], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise CliError("TENANT_REFUSED", last[0].removeprefix("error: "))
    return json.loads(done.stdout)
