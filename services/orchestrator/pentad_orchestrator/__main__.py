"""The orchestrator as a process: `python -m pentad_orchestrator`."""

from __future__ import annotations

from pentad_common.db import Database
from pentad_common.server import run_service
from pentad_common.settings import load_settings
from pentad_orchestrator.parts import Parts
from pentad_orchestrator.settings import OrchestratorSettings


async def main() -> None:
    """Serves until told to stop."""
    settings = load_settings(OrchestratorSettings)
    database = Database(settings.database_url, settings.database_pool_size)
    try:
        async with Parts(settings, database) as parts:
            await parts.server.run()
    finally:
        database.close()


if __name__ == "__main__":
    run_service(main)
