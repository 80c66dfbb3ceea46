"""Bus, registry and orchestrator as processes, and small agents inside the test that work for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pentad.common.v1 import common_pb2, task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_client import ClientConfig, Pentad
from pentad_client.bus import Connection, Delivery
from pentad_common.call import Role
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.keys import add_key
from pentad_common.models import Tenant
from pentad_common.schema import upgrade
from tests.fixtures.ports import unused_port

QUICK = {
    "PENTAD_RETRY_INITIAL_SECONDS": "0.05",
    "PENTAD_AGENT_WAIT_SECONDS": "2",
    "PENTAD_BUS_ACK_WAIT_SECONDS": "5",
    "PENTAD_POLL_SECONDS": "0.3",
}
IMPATIENT = [(f"grpc.{bound}_reconnect_backoff_ms", 50) for bound in ("initial", "min", "max")]
MODULES = {"llm": "pentad_llm_gateway"}  # of the others: pentad_<name>
Work = Callable[[task_pb2.Task], Awaitable[task_pb2.TaskResult]]


@dataclass
class House:
    """Where the services are. `start` and `kill` take `bus`, `registry`, `context`, `llm`, or the name of an
    orchestrator.

    `journal_url`: the bus's database, if it is not a file in `folder`.
    """

    folder: Path
    database_url: str
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    service_key: str = ""
    journal_url: str = ""
    tls: dict[str, str] = field(default_factory=dict)
    """The PENTAD_TLS_* of services and clients."""

    def start(self, *names: str, **environment: str) -> None:
        """Starts services at once and waits until they serve."""
        for name in names:
            self.ports.setdefault(name, unused_port())
        for name in names:
            self._spawn(name, environment)
        for name in names:
            self._await_serving(name, self.ports[name])

    def _spawn(self, name: str, environment: dict[str, str]) -> None:
        area, port = name.partition("-")[0], self.ports[name]
        env = {key: value for key, value in os.environ.items() if not key.startswith("PENTAD_")}
        env |= QUICK | self.tls | self.addresses() | environment
        env |= {"PENTAD_PORT": str(port), "PENTAD_DATABASE_URL": self.database_url}
        env |= {"PENTAD_API_KEY": self.service_key, "PENTAD_LOG_FORMAT": "json"}
        env |= {"PENTAD_JOURNAL_URL": self.journal_url or f"sqlite:///{self.folder}/journal.db"}
        module = MODULES.get(area, f"pentad_{area}")
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def _await_serving(self, name: str, port: int) -> None:
        until = time.monotonic() + 60
        with self._channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.RpcError:
                    pass
                if self.processes[name].poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{name} does not serve:\n{self.log(name)}")
                time.sleep(0.02)

    def _channel(self, address: str) -> grpc.Channel:
        if not self.tls:
            return grpc.insecure_channel(address, options=IMPATIENT)
        files = (self.tls[f"PENTAD_TLS_{name}"] for name in ("CA", "KEY", "CERT"))
        credentials = grpc.ssl_channel_credentials(*(Path(file).read_bytes() for file in files))
        return grpc.secure_channel(address, credentials, options=IMPATIENT)

    def log(self, name: str) -> str:
        """The end of a service's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def kill(self, name: str) -> None:
        """Kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def addresses(self) -> dict[str, str]:
        """The environment that says where the services are."""
        return {f"PENTAD_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name, port in self.ports.items()}

    def key(self, tenant: str, role: Role = "admin", *agents: str) -> str:
        """A new API key; makes the tenant if there is none of that name."""
        database = Database(self.database_url, pool_size=1)
        try:
            return database.run_sync(
                lambda session: _key(session, tenant, role, list(agents)), tenant=ALL_TENANTS
            )
        finally:
            database.close()

    def config(self, key: str, orchestrator: str = "orchestrator") -> ClientConfig:
        """A client's configuration."""
        address = f"127.0.0.1:{self.ports[orchestrator]}"
        environment = (
            self.tls | self.addresses() | {"PENTAD_API_KEY": key, "PENTAD_ORCHESTRATOR_ADDRESS": address}
        )
        return ClientConfig.from_env(environment)


def _key(session: Any, tenant: str, role: Role, agents: list[str]) -> str:
    if session.get(Tenant, tenant) is None:
        session.add(Tenant(id=tenant, name=tenant))
        session.flush()
    return add_key(session, tenant, "test", role, agents)[1]


@contextmanager
def house(
    folder: Path,
    database_url: str,
    *orchestrators: str,
    journal_url: str = "",
    tls: dict[str, str] | None = None,
    **environment: str,
) -> Iterator[House]:
    """A bus, a registry and orchestrators (or whatever is named), until the block ends."""
    if not journal_url:
        upgrade(f"sqlite:///{folder}/journal.db")
    made = House(folder, database_url, journal_url=journal_url, tls=tls or {})
    made.service_key = made.key("default", "service")
    try:
        made.start("bus", "registry", *(orchestrators or ("orchestrator",)), **environment)
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)


class Agent:
    """An agent: registered, connected, and doing `work` for each task. `tasks` are those that it got."""

    def __init__(self, pentad: Pentad, name: str, work: Work) -> None:
        self.name = name
        self.tasks: list[task_pb2.Task] = []
        self.cancelled: list[task_pb2.TaskCancel] = []
        self.news = asyncio.Event()
        """Set when there is something new in either."""
        self._pentad = pentad
        self._work = work
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, connection: Connection) -> None:
        """Takes tasks until it is cancelled."""
        async for delivery in connection:
            task = asyncio.create_task(self._take(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, delivery: Delivery) -> None:
        if delivery.message.type == "pentad.cancel":
            self.cancelled.append(task_pb2.TaskCancel.FromString(delivery.message.payload.data))
            self.news.set()
            await delivery.ack()
            return
        task = task_pb2.Task.FromString(delivery.message.payload.data)
        self.tasks.append(task)
        self.news.set()
        result = await self._work(task)
        result.agent_run_id, result.run_id = task.agent_run_id, task.run_id
        content = common_pb2.Content(
            content_type="application/protobuf; messageType=pentad.common.v1.TaskResult",
            data=result.SerializeToString(),
        )
        await delivery.reply("pentad.result", content)


@asynccontextmanager
async def agent(
    home: House, tenant: str, name: str, work: Work, capabilities: tuple[str, ...] = (), capacity: int = 8
) -> AsyncIterator[Agent]:
    """An agent at work until the block ends."""
    async with Pentad(home.config(home.key(tenant, "agent", name))) as pentad:
        made = Agent(pentad, name, work)
        subscriptions = ["pentad.cancel.*"]
        async with await pentad.bus.connect(agent=name, subscriptions=subscriptions) as connection:
            card = registry_pb2.AgentCard(name=name, capabilities=capabilities, description=f"the {name}")
            registration = await pentad.registry.register(card, capacity=capacity)
            serving = asyncio.create_task(made.serve(connection))
            try:
                yield made
            finally:
                serving.cancel()
                await registration.close()


def says(text: str, **fields: Any) -> task_pb2.TaskResult:
    """A result of one text."""
    content = common_pb2.Content(content_type="text/plain; charset=utf-8", data=text.encode())
    return task_pb2.TaskResult(outputs=[common_pb2.Part(content=content)], **fields)


def fails(reason: str, retry_after: float | None = None) -> task_pb2.TaskResult:
    """A result that is an error."""
    error = common_pb2.Error(code=13, reason=reason, message=f"{reason} happened")
    if retry_after is not None:
        error.retry_after.FromMilliseconds(round(retry_after * 1000))
    return task_pb2.TaskResult(error=error)


async def echo(task: task_pb2.Task) -> task_pb2.TaskResult:
    """Says its name and what the steps before it said."""
    heard = [text for item in task.previous for text in texts(item.outputs)]
    return says(f"{task.agent}({', '.join(heard)})")


def texts(parts: Any) -> list[str]:
    """The texts of parts."""
    return [part.content.data.decode() for part in parts]


def sequential(*agents: str, **fields: Any) -> pb.CreateRunRequest:
    """Asks for one agent after another."""
    steps = [pb.Step(agent=name, **fields) for name in agents]
    return pb.CreateRunRequest(instruction="do it", sequential=pb.Sequential(steps=steps))


async def finished(pentad: Pentad, run_id: str, seconds: float = 20.0) -> pb.Run:
    """The run when it has ended; its events are complete and in order."""
    async with asyncio.timeout(seconds):
        events = [event async for event in pentad.orchestrator.watch_run(run_id)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return await pentad.orchestrator.get_run(run_id)
