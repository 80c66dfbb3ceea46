"""`python -m pentad_agents.host --agents-dir DIR`: serves the agents of a folder until SIGTERM or SIGINT.

Exit code 2: it cannot start as it is set up, and the last line on standard error says why.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # children are executed, never just forked

import uvloop

from pentad_agents.health import Health
from pentad_agents.settings import ConfigurationError, HostSettings, load_settings
from pentad_agents.sidecar import Sidecar
from pentad_agents.stall import StallWatch
from pentad_agents.telemetry import configure_logging
from pentad_client import Pentad


def main() -> int:
    """Reads the command line and the environment, and serves."""
    parser = argparse.ArgumentParser(
        prog="python -m pentad_agents.host",
        description="Serves the agents of a folder. Settings: PENTAD_API_KEY, PENTAD_*_ADDRESS (`pentad env` "
        "prints them), PENTAD_PORT (health check), PENTAD_DRAIN_SECONDS, PENTAD_AGENTS_LLM=off, "
        "PENTAD_LOG_FORMAT.",
    )
    parser.add_argument("--agents-dir", metavar="DIR", help="[default: $PENTAD_AGENTS_DIR, or ./agents]")
    given = parser.parse_args()
    try:
        settings = load_settings(**({"agents_dir": given.agents_dir} if given.agents_dir else {}))
        configure_logging(settings.log_format, settings.log_level)
        uvloop.run(serve(settings))
    except ConfigurationError as error:
        print(f"pentad agents: {error}", file=sys.stderr)
        return 2
    return 0


async def serve(settings: HostSettings) -> None:
    """Serves until a signal comes. Raises ConfigurationError."""
    stopped, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    with StallWatch(settings.agents_dir):
        async with Pentad() as pentad, Health(settings.host, settings.port, ready, stopped):
            await Sidecar(settings, pentad).run(stopped, ready)


if __name__ == "__main__":
    sys.exit(main())
