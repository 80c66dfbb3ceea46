"""The registry as a process: `python -m pentad_registry`."""

from __future__ import annotations

import pentad_client.polling  # noqa: F401 - before gRPC
from pentad.registry.v1 import registry_pb2_grpc
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.server import Server, run_service
from pentad_common.settings import load_settings
from pentad_registry.key_servicer import KeyServicer
from pentad_registry.parts import Parts
from pentad_registry.servicer import RegistryServicer
from pentad_registry.settings import RegistrySettings
from pentad_registry.store.memory import MemoryLiveStore
from pentad_registry.store.sql import SqlCardStore


def build_server(settings: RegistrySettings, database: Database) -> tuple[Server, Parts]:
    """The server with its servicers, and the parts to run beside it."""
    parts = Parts(
        SqlCardStore(database),
        MemoryLiveStore(),
        lease_seconds=settings.lease_seconds,
        most_instances=settings.most_instances,
    )
    server = Server(settings, "registry", database)
    server.add(registry_pb2_grpc.add_RegistryServiceServicer_to_server, RegistryServicer(parts))
    server.add(registry_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(KeyStore(database)))
    return server, parts


async def main() -> None:
    """Serves until told to stop."""
    settings = load_settings(RegistrySettings)
    database = Database(settings.database_url, settings.database_pool_size)
    try:
        server, parts = build_server(settings, database)
        async with parts.running():
            await server.run()
    finally:
        database.close()


if __name__ == "__main__":
    run_service(main)
