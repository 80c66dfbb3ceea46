"""The LLM gateway as a process: `python -m pentad_llm_gateway`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pentad_client.polling  # noqa: F401 - before gRPC
from pentad.llm.v1 import llm_pb2_grpc
from pentad_common.db import Database
from pentad_common.server import Server, run_service
from pentad_common.settings import load_settings
from pentad_llm_gateway.backend import opened
from pentad_llm_gateway.batches.assembly import with_batches
from pentad_llm_gateway.catalog_watch import CatalogWatch
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import first_generation
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.limits.keeper import Keeper
from pentad_llm_gateway.servicer import LlmGatewayServicer
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.store.sql import SqlCallStore


@asynccontextmanager
async def built(settings: GatewaySettings, database: Database) -> AsyncIterator[Server]:
    """The server with its servicer. After the block, what the calls cost is kept and the providers are
    closed."""
    generations = first_generation(settings)
    ledger = Ledger(SqlCallStore(database))
    async with opened(settings, lambda: generations.current.catalog.cache.max_bytes) as backend:
        limits = Keeper(lambda: generations.current.catalog.limits, backend.counters, ledger)
        gateway = Gateway(settings, generations, ledger, limits, backend.cache)
        server = Server(settings, "llm", database)
        batches = with_batches(settings, database, server, gateway, generations, limits)
        servicer = LlmGatewayServicer(gateway, generations, batches, settings.max_message_bytes)
        server.add(llm_pb2_grpc.add_LlmGatewayServiceServicer_to_server, servicer)
        if settings.llm_http_port is not None:
            from pentad_llm_gateway.http.door import HttpDoor

            server.accompany(HttpDoor(settings, server, gateway, generations))
        try:
            async with CatalogWatch(settings.llm_catalog, generations).running():
                yield server
        finally:
            await gateway.close()
            await generations.close()


async def main() -> None:
    """Serves until told to stop."""
    settings = load_settings(GatewaySettings)
    database = Database(settings.database_url, settings.database_pool_size)
    try:
        async with built(settings, database) as server:
            await server.run()
    finally:
        database.close()


if __name__ == "__main__":
    run_service(main)
