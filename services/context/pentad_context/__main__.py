"""The context service as a process: `python -m pentad_context`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pentad_client.polling  # noqa: F401 - before gRPC
from pentad.context.v1 import context_pb2_grpc
from pentad_common.db import Database
from pentad_common.server import Server, run_service
from pentad_common.settings import load_settings
from pentad_context.context import Context
from pentad_context.feed import Feed
from pentad_context.janitor import Janitor
from pentad_context.servicer import ContextServicer
from pentad_context.settings import ContextSettings
from pentad_context.store import Retention
from pentad_context.store.sql import SqlContextStore
from pentad_context.watch import Watches


@asynccontextmanager
async def built_server(settings: ContextSettings, database: Database) -> AsyncIterator[Server]:
    """The server with its servicer, not started, and what has to run beside it, running."""
    store = SqlContextStore(database)
    feed = Feed(store, settings.poll_seconds)
    recent = timedelta(seconds=settings.history_seconds)
    retention = Retention(timedelta(days=settings.history_days), settings.history_per_key, recent, recent)
    server = Server(settings, "context", database)
    servicer = ContextServicer(Context(store, feed), Watches(store, feed))
    server.add(context_pb2_grpc.add_ContextServiceServicer_to_server, servicer)
    async with feed.running(), Janitor(store, feed, retention).running():
        yield server


async def main() -> None:
    """Serves until told to stop."""
    settings = load_settings(ContextSettings)
    database = Database(settings.database_url, settings.database_pool_size)
    try:
        async with built_server(settings, database) as server:
            await server.run()
    finally:
        database.close()


if __name__ == "__main__":
    run_service(main)
