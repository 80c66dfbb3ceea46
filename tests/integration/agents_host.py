"""A host of agents as a process, beside real services, and what tests ask of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_client import Pentad
from tests.fixtures.ports import unused_port
from tests.integration.orchestrator_house import House

EXAMPLES = Path(__file__).parents[2] / "examples"
SHIPPED = Path(__file__).parents[2] / "agents"


def agent_file(name: str, body: str, extra: str = "") -> str:
    """The text of an agent's file; `body` is what `execute(self, task, ctx)` does, `extra` other members."""
    lines = [
        "import asyncio, os, pathlib, sys, time",
        "from pentad_agents import AgentError, BaseAgent, Final, Handoff, Output, on",
        "class It(BaseAgent):",
        f"    name = {name!r}",
        "    CAPABILITIES = ['test']",
        indent(dedent(extra), "    "),
        "    async def execute(self, task, ctx):",
        indent(dedent(body), "        "),
    ]
    return "\n".join(lines) + "\n"


@dataclass
class Host:
    """The host of one tenant, its folder, and the tenant's client."""

    house: House
    folder: Path
    pentad: Pentad
    environment: dict[str, str]
    port: int = field(default_factory=unused_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The host's log."""
        return self.folder.parent / "host.log"

    async def start(self) -> None:
        """Starts the process; returns when it says that it serves."""
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "pentad_agents.host"]
        env = self.environment | {"PENTAD_PORT": str(self.port)}
        self.process = await asyncio.to_thread(self._spawn, [*command, "--agents-dir", str(self.folder)], env)
        await until(self._serves)

    def _spawn(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=env, stdout=log, stderr=log)

    async def _serves(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                stub: Any = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest())
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 20)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def write(self, name: str, body: str, extra: str = "") -> None:
        """Puts an agent's file into the folder, all at once."""
        (self.folder / f"{name}.py").write_text(agent_file(name, body, extra))

    async def live(self, name: str) -> bool:
        """Whether the registry has a live instance of the agent."""
        return name in {agent.card.name async for agent in self.pentad.registry.list(live=True)}

    async def files(self) -> dict[str, registry_pb2.AgentFile]:
        """What the host reported of its files."""
        return {file.path: file for file in await self.pentad.registry.list_files()}

    async def run(self, *agents: str, inputs: dict[str, bytes] | None = None, **parameters: str) -> pb.Run:
        """Starts one agent after another."""
        steps = [pb.Step(agent=name, parameters=parameters) for name in agents]
        request = pb.CreateRunRequest(instruction="do it", sequential=pb.Sequential(steps=steps))
        for name, data in (inputs or {}).items():
            request.inputs.append(await self.part(name, data))
        return await self.pentad.orchestrator.create_run(request)

    async def part(self, name: str, data: bytes) -> common_pb2.Part:
        """An input, kept by the orchestrator if it is large."""
        if len(data) > 256 * 1024:
            kept = await self.pentad.orchestrator.put_artifact(data, name=name)
            return common_pb2.Part(name=name, artifact=kept)
        return common_pb2.Part(name=name, content=common_pb2.Content(data=data))


@asynccontextmanager
async def hosting(house: House, tenant: str, folder: Path, **environment: str) -> AsyncIterator[Host]:
    """A host that serves an empty folder, until the block ends."""
    agents = folder / "agents"
    agents.mkdir(exist_ok=True)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PENTAD_")}
    env |= house.addresses() | {
        "PENTAD_LOG_FORMAT": "json",
        "PENTAD_AGENTS_LLM": "off",
        "PENTAD_INSTANCE": "h1",
    }
    env |= {"PENTAD_API_KEY": house.key(tenant, "agent", "*")} | environment
    async with Pentad(house.config(house.key(tenant))) as pentad:
        host = Host(house, agents, pentad, env)
        try:
            yield host
        finally:
            host.kill()


async def until(ready: Callable[[], Awaitable[object] | object], seconds: float = 20.0) -> float:
    """Waits until `ready()` holds; returns how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while True:
            held = ready()
            if await held if isinstance(held, Awaitable) else held:
                return time.monotonic() - began
            await asyncio.sleep(0.02)
