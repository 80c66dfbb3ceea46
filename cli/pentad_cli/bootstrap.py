"""Before the processes start: schema, tenant and keys, made by `python -m pentad_common.bootstrap`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from pentad_cli import launch
from pentad_cli.failure import CliError
from pentad_cli.state import StateDir


@dataclass(frozen=True)
class Keys:
    """API keys of this start: the services' own, and the agent host's."""

    service: str = field(repr=False)
    agent: str = field(repr=False)


async def bootstrap(state: StateDir) -> Keys:
    """Prepares databases and the admin key's file. Raises CliError BOOTSTRAP_FAILED with what went wrong."""
    arguments = ["--database-url", state.database_url, "--journal-url", state.journal_url]
    process = await asyncio.create_subprocess_exec(
        *launch.command("pentad_common.bootstrap", *arguments, "--key-file", str(state.key_file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=state.path,
        start_new_session=True,
    )
    try:
        answer, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise CliError("BOOTSTRAP_FAILED", f"the state cannot be prepared: {last[0].removeprefix('error: ')}")
    keys = json.loads(answer)
    return Keys(service=keys["service_key"], agent=keys["agent_key"])
