"""`python -m benchmarks.bus.autogen_host ADDRESS`: AutoGen's host, until SIGTERM."""

from __future__ import annotations

import sys

import uvloop
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost


async def main(address: str) -> None:
    """Serves."""
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    await host.stop_when_signal(grace=0)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
