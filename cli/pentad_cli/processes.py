"""The processes of an embedded Pentad: one a service, and the host of the agents."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from pentad_cli.bootstrap import Keys
from pentad_cli.child import Process, Variables
from pentad_cli.failure import UsageProblem
from pentad_cli.ports import AGENTS, HOST, SERVICES, Ports
from pentad_cli.readiness import serving
from pentad_cli.state import STATE_DIR_VARIABLE, StateDir

Secrets = Callable[[], Awaitable[Variables]]

MODULES = {
    "bus": "pentad_bus",
    "registry": "pentad_registry",
    "context": "pentad_context",
    "orchestrator": "pentad_orchestrator",
    "llm": "pentad_llm_gateway",
}
DRAIN_SECONDS = 3
# What the surroundings say about another Pentad, such as exports of `pentad env`, is not for this one.
_OWN_KEY = "pentad_"
_NOT_INHERITED = ("PENTAD_TLS_", "PENTAD_API_KEY", "PENTAD_HOST", "PENTAD_DATABASE_URL", "PENTAD_REDIS_URL")


def processes(state: StateDir, ports: Ports, keys: asyncio.Future[Keys], agents_dir: Path) -> list[Process]:
    """All processes, in no order that matters: they start together and find each other.

    They begin to load while the keys are still made.
    """
    shared = environment(os.environ, state, ports)

    async def service_key() -> Variables:
        return {"PENTAD_API_KEY": (await asyncio.shield(keys)).service}

    async def agent_key() -> Variables:
        return {"PENTAD_API_KEY": (await asyncio.shield(keys)).agent}

    services = [_service(name, shared, state, ports, service_key) for name in SERVICES]
    return [*services, _agents(shared, state, ports, agent_key, agents_dir)]


def environment(surroundings: Mapping[str, str], state: StateDir, ports: Ports) -> dict[str, str]:
    """What every process gets to know. `BUS_ADDRESSES` is for those who take several."""
    kept = {name: value for name, value in surroundings.items() if not name.startswith(_NOT_INHERITED)}
    if kept.get("OPENAI_API_KEY", "").startswith(_OWN_KEY):  # set for clients of ours: we would ask ourselves
        kept = {name: value for name, value in kept.items() if not name.startswith("OPENAI_")}
    addresses = {f"PENTAD_{name.upper()}_ADDRESS": ports.address(name) for name in SERVICES}
    return {
        **kept,
        **addresses,
        "PENTAD_BUS_ADDRESSES": ports.address("bus"),
        "PENTAD_HOST": HOST,
        STATE_DIR_VARIABLE: str(state.path),
        "PENTAD_LOG_FORMAT": kept.get("PENTAD_LOG_FORMAT", "json"),
        "PENTAD_DRAIN_SECONDS": kept.get("PENTAD_DRAIN_SECONDS", str(DRAIN_SECONDS)),
    }


def _service(name: str, shared: Variables, state: StateDir, ports: Ports, secrets: Secrets) -> Process:
    own = {
        "PENTAD_PORT": str(ports.service(name)),
        "PENTAD_METRICS_PORT": str(ports.metrics(name)),
        "PENTAD_DATABASE_URL": state.database_url,
        "PENTAD_JOURNAL_URL": state.journal_url,
    }
    if name == "llm":
        own["PENTAD_LLM_HTTP_PORT"] = str(ports.http)
    address = ports.address(name)
    return Process(
        name=name,
        module=MODULES[name],
        environment={**shared, **own},
        secrets=secrets,
        ready=partial(serving, address),
        address=address,
        working_directory=state.path,
    )


def _agents(shared: Variables, state: StateDir, ports: Ports, secrets: Secrets, agents_dir: Path) -> Process:
    own = {
        "PENTAD_PORT": str(ports.service(AGENTS)),
        # Always the same: after a restart it takes its own place again, instead of one beside it.
        "PENTAD_INSTANCE": "local",
    }
    address = ports.address(AGENTS)
    return Process(
        name=AGENTS,
        module="pentad_agents.host",
        arguments=("--agents-dir", str(agents_dir)),
        environment={**shared, **own},
        secrets=secrets,
        ready=partial(serving, address),
        address=address,
        working_directory=state.path,
    )


def agents_folder(given: str | None, state: StateDir) -> Path:
    """The folder of agents: as given, `./agents`, a checkout's shipped one, or one in the state directory.

    Raises UsageProblem if the one given is none.
    """
    if given:
        folder = Path(given).expanduser()
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise UsageProblem(f"the agents folder {folder} {what}", "Name a folder with --agents-dir DIR.")
        return folder.resolve()
    here = Path("agents")
    if here.is_dir():
        return here.resolve()
    return shipped_agents() or _own_folder(state)


def shipped_agents() -> Path | None:
    """The agents that come with a checkout; None where only packages are installed."""
    spec = find_spec("pentad_agents")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent.parent
    return folder if folder.name == "agents" and any(folder.glob("*.py")) else None


def _own_folder(state: StateDir) -> Path:
    folder = state.path / "agents"
    folder.mkdir(exist_ok=True)
    return folder
