"""A running server with one servicer for each kind of RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pentad.bus.v1 import bus_pb2_grpc
from pentad.context.v1 import context_pb2_grpc
from pentad.orchestrator.v1 import orchestrator_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from pentad_common.server import Server
from pentad_common.settings import ServiceSettings
from tests.unit.common.samples import TENANT, House, SampleBus, SampleContext, SampleOrchestrator


@pytest.fixture
def local_database(sqlite_url: str) -> Iterator[Database]:
    """A SQLite database with one tenant."""
    opened = Database(sqlite_url)
    opened.run_sync(lambda session: session.add(Tenant(id=TENANT, name=TENANT)), tenant=TENANT)
    yield opened
    opened.close()


@pytest.fixture
async def house(local_database: Database, sqlite_url: str) -> AsyncIterator[House]:
    """The server, its address, and stubs to call it."""
    settings = ServiceSettings(database_url=sqlite_url, unary_deadline_seconds=0.5, log_format="json")
    server = Server(settings, "sample", local_database)
    context = SampleContext()  # type: ignore[abstract]
    server.add(context_pb2_grpc.add_ContextServiceServicer_to_server, context)
    orchestrator, bus = SampleOrchestrator(), SampleBus()  # type: ignore[abstract]
    server.add(orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server, orchestrator)
    server.add(bus_pb2_grpc.add_BusServiceServicer_to_server, bus, hand_checked=["Connect"])
    channels = Channels(ClientConfig())
    async with server.running() as address:
        yield House(server, address, KeyStore(local_database), local_database, context, channels)
        await channels.close()
