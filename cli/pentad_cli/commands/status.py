"""`pentad status`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from pentad_cli.failure import Exit
from pentad_cli.state import current_state_dir
from pentad_cli.tree import command

EXAMPLES = """
pentad status
pentad status --json | jq '.processes[] | {name, pid, rss_bytes}'
"""


@command("status", examples=EXAMPLES, short_help="Show what runs, and how it is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(as_json: bool) -> int:
    """Show what runs: health, uptime, restarts, memory and address of each process.

    Exit code 0 when all of it is well, 1 when something is not or nothing runs.
    """
    from pentad_cli.status import read_status
    from pentad_cli.table import show_json

    found = read_status(current_state_dir())
    if as_json:
        show_json(found)
    elif found["running"]:
        _show(found)
    else:
        print(_nothing(found))
    well = found["running"] and all(process["healthy"] for process in found["processes"])
    return Exit.OK if well else Exit.FAILED


def _show(found: dict[str, Any]) -> None:
    from pentad_cli.process_table import HEADINGS, row
    from pentad_cli.table import show_table
    from pentad_cli.units import ago

    uptime = ago(datetime.fromisoformat(found["started"]))
    print(f"Pentad is {found['state']} (pid {found['pid']}, up for {uptime})")
    print(f"  state   {found['state_dir']}")
    print(f"  agents  {found['agents_dir']}")
    show_table(HEADINGS, [row(_as_seen(process)) for process in found["processes"]], "no processes")


def _as_seen(process: dict[str, Any]) -> dict[str, Any]:
    silent = process["state"] == "ready" and not process["healthy"]
    return {**process, "state": "not answering"} if silent else process


def _nothing(found: dict[str, Any]) -> str:
    text = f"No Pentad is running on {found['state_dir']}; start one with `pentad up --detach`."
    if found["killed_pid"]:
        text += f"\nThe last one (pid {found['killed_pid']}) was killed; its runs go on at the next start."
    return text
