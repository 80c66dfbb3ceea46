"""How a Pentad stands, seen from outside."""

from __future__ import annotations

import asyncio
from typing import Any

from pentad_cli.process_table import measured
from pentad_cli.state import StateDir


def read_status(state: StateDir) -> dict[str, Any]:
    """What runs on a state directory, each service asked for its health; `running` says whether any does."""
    pid = state.holder()
    up = state.read_up()
    if pid is None or up is None:
        return {"running": False, "state_dir": str(state.path), "killed_pid": up.get("pid") if up else None}
    processes = asyncio.run(_asked([measured(process) for process in up["processes"]]))
    return {"running": True, "state_dir": str(state.path), **up, "pid": pid, "processes": processes}


async def _asked(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_ask(process) for process in processes)))


async def _ask(process: dict[str, Any]) -> dict[str, Any]:
    """The process with `healthy`: what it says itself, not what its supervisor believes."""
    from pentad_cli.readiness import is_serving

    address = process.get("address")
    healthy = await is_serving(address) if address else process["state"] == "ready"
    return {**process, "healthy": healthy}
