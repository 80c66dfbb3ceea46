"""`pentad agents`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pentad_cli.completion import agent_names
from pentad_cli.options import json_option
from pentad_cli.session import take, with_pentad
from pentad_cli.tree import group

if TYPE_CHECKING:
    from pathlib import Path

    from pentad_client import Pentad


@group("agents", examples="pentad agents list\npentad agents new translator")
def agents() -> None:
    """See the agents there are, and begin a new one."""


@agents.command("list", examples="pentad agents list\npentad agents list --json | jq -r '.agents[].name'")
@click.option("-a", "--all", "gone", is_flag=True, help="Also agents that were there once and are not now.")
@json_option("One JSON object: `agents`, and the `files` they come from, broken ones with their reason.")
def list_agents(gone: bool, as_json: bool) -> None:
    """List the live agents, and the files that could not be loaded, with the reason."""
    from pentad_cli.table import show_json, show_table

    found, files = with_pentad(lambda pentad: _read(pentad, live=not gone))
    if as_json:
        show_json({"agents": found, "files": files})
        return
    rows = [
        [
            agent["name"],
            agent["status"],
            _load(agent),
            ", ".join(agent["capabilities"]),
            agent["source"],
            agent["description"],
        ]
        for agent in found
    ]
    show_table(("agent", "status", "work", "capabilities", "file", "description"), rows, "no agents")
    broken = [file for file in files if file["status"] == "failed"]
    if broken:
        print()
        show_table(
            ("file", "status", "reason", "message"),
            [[file["path"], file["status"], file["reason"], file["message"]] for file in broken],
            "",
        )


@agents.command("show", examples="pentad agents show writer\npentad agents show broken_file.py")
@click.argument("name", shell_complete=agent_names)
@json_option("One JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show all about an agent, or about a file that could not be loaded, with its traceback."""
    from pentad_cli.failure import UsageProblem
    from pentad_cli.table import show_json

    found, files = with_pentad(lambda pentad: _read(pentad, live=False))
    document = (
        _named(found, "name", name) or _named(files, "path", name) or _named(files, "path", f"{name}.py")
    )
    if document is None:
        raise UsageProblem(
            f"there is no agent {name!r}", "`pentad agents list` shows what there is.", "AGENT_NOT_FOUND"
        )
    if as_json:
        show_json(document)
        return
    for key, value in document.items():
        _show_field(key, value)


@agents.command(
    "new", examples="pentad agents new translator\npentad agents new translator --agents-dir ~/my-agents"
)
@click.argument("name")
@click.option(
    "--agents-dir", metavar="DIR", help="Where. [default: the folder of the running Pentad, or ./agents]"
)
def new(name: str, agents_dir: str | None) -> None:
    """Write the file of a new agent, ready to run: change what it does, and save."""
    from pentad_cli.agent_template import write_agent

    path = write_agent(name, _folder(agents_dir))
    print(f"Wrote {path}")
    print(f'Edit it, then: pentad run "Hello" --agents {name}')


async def _read(pentad: Pentad, live: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from pentad_cli.agent_document import agent_document, file_document

    found = [agent_document(agent) for agent in await take(pentad.registry.list(live=live), 0)]
    files = [file_document(file) for file in await pentad.registry.list_files()]
    return found, files


def _load(agent: dict[str, Any]) -> str:
    """Tasks under way, of how many at once."""
    instances = agent["instances"]
    return f"{sum(one['in_flight'] for one in instances)}/{sum(one['capacity'] for one in instances)}"


def _named(documents: list[dict[str, Any]], key: str, name: str) -> dict[str, Any] | None:
    return next((document for document in documents if document[key] == name), None)


def _show_field(key: str, value: Any) -> None:
    if not value:
        return
    if key == "detail":
        print(value.rstrip())
    elif key == "instances":
        for one in value:
            work = f"{one['in_flight']}/{one['capacity']}"
            print(f"{'instance':<13}{one['instance']}  {one['status']}  {work}  heard of {one['heartbeat']}")
    else:
        print(f"{key:<13}{', '.join(value) if isinstance(value, list) else value}")


def _folder(given: str | None) -> Path:
    from pathlib import Path

    from pentad_cli.state import current_state_dir

    if given:
        return Path(given).expanduser().absolute()
    state = current_state_dir()
    up = state.read_up() if state.holder() is not None else None
    return Path(up["agents_dir"]) if up else Path("agents").absolute()
