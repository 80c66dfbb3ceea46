"""The orchestrator's parts, put together."""

from __future__ import annotations

from types import TracebackType

from pentad.orchestrator.v1 import orchestrator_pb2_grpc
from pentad_client import ClientConfig, Pentad
from pentad_common.db import Database
from pentad_common.server import Server
from pentad_orchestrator.artifacts import Artifacts
from pentad_orchestrator.engine import Engine
from pentad_orchestrator.runs import Runs
from pentad_orchestrator.servicer import OrchestratorServicer
from pentad_orchestrator.settings import OrchestratorSettings
from pentad_orchestrator.store.artifacts import ArtifactStore
from pentad_orchestrator.store.creation import RunCreation
from pentad_orchestrator.store.runs import RunStore
from pentad_orchestrator.store.workflows import WorkflowStore
from pentad_orchestrator.upkeep import Upkeep
from pentad_orchestrator.workflows import Workflows


class Parts:
    """The server and what works beside it. Within the block runs move; the caller runs the server."""

    def __init__(self, settings: OrchestratorSettings, database: Database) -> None:
        policy = settings.policy()
        runs, files = RunStore(database), ArtifactStore(database)
        self.pentad = Pentad(client_config(settings))
        self.engine = Engine(self.pentad, runs, policy, settings.run_inline_bytes)
        self.upkeep = Upkeep(self.engine, runs, files, settings)
        workflows = Workflows(WorkflowStore(database), policy)
        creation = RunCreation(database, settings.run_inline_bytes)
        self.server = Server(settings, "orchestrator", database)
        self.server.add(
            orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server,
            OrchestratorServicer(
                Runs(self.engine, runs, creation, workflows, policy),
                workflows,
                Artifacts(files, settings.artifact_max_bytes),
            ),
        )

    async def __aenter__(self) -> Parts:
        self.upkeep.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()
        await self.pentad.close()


def client_config(settings: OrchestratorSettings) -> ClientConfig:
    """Where the siblings are, and the key to call them with."""
    return ClientConfig(
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        bus_address=settings.bus_address,
        registry_address=settings.registry_address,
        tls_ca=settings.tls_ca or "",
        # Shown to siblings that ask for one: a service has one certificate for both directions.
        tls_cert=settings.tls_cert or "",
        tls_key=settings.tls_key or "",
    )
