"""Programs as processes: how they start, stop and say what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from pentad.registry.v1 import registry_pb2, registry_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_client.errors import Unavailable
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.models import Tenant
from tests.fixtures.ports import unused_port

TENANT = "acme"

SERVICE = """
import asyncio
from pentad.registry.v1 import registry_pb2_grpc
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.server import Server, run_service
from pentad_common.settings import ServiceSettings, load_settings
from pentad_registry.key_servicer import KeyServicer

class Slow(KeyServicer):
    async def ListKeys(self, request, context):
        await asyncio.sleep(0.5)
        return await super().ListKeys(request, context)

async def main():
    settings = load_settings(ServiceSettings)
    database = Database(settings.database_url)
    server = Server(settings, "keys", database)
    server.add(registry_pb2_grpc.add_KeyServiceServicer_to_server, Slow(KeyStore(database)))
    async def on_drain():
        print("drained", flush=True)
    try:
        await server.run(on_drain)
    finally:
        database.close()

run_service(main)
"""


@contextmanager
def service(**environ: str) -> Iterator[subprocess.Popen[str]]:
    """The process, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        env={**os.environ, "PENTAD_LOG_FORMAT": "json", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@asynccontextmanager
async def serving(url: str, port: int) -> AsyncIterator[subprocess.Popen[str]]:
    """The process, once it serves."""
    with service(PENTAD_DATABASE_URL=url, PENTAD_PORT=str(port)) as process:
        assert process.stderr is not None
        line = await asyncio.to_thread(process.stderr.readline)
        assert '"serving"' in line, line
        yield process


@pytest.fixture
async def admin_key(sqlite_url: str) -> str:
    """The text of an admin key, the only one in the database."""
    database = Database(sqlite_url)
    await database.run(lambda session: session.add(Tenant(id=TENANT, name=TENANT)), tenant=TENANT)
    _, text = await KeyStore(database).create(TENANT, name="test", role="admin")
    database.close()
    return text


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that ends by itself."""
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains(sqlite_url: str, admin_key: str, number: signal.Signals) -> None:
    """The call under way is answered, the drain runs, new calls fail, and the exit code is 0."""
    port = unused_port()
    channels = Channels(ClientConfig(api_key=admin_key))
    stub = channels.stub(f"127.0.0.1:{port}", registry_pb2_grpc.KeyServiceStub, registry_pb2.DESCRIPTOR)
    async with serving(sqlite_url, port) as process:
        under_way = asyncio.ensure_future(stub.ListKeys(registry_pb2.ListKeysRequest()))
        await asyncio.sleep(0.25)
        process.send_signal(number)
        assert len((await under_way).keys) == 1
        code, out, err = await asyncio.to_thread(outcome, process)
    await channels.close()
    assert (code, out) == (0, "drained\n")
    assert "Traceback" not in err


async def test_unary_calls_survive_a_restart(sqlite_url: str, admin_key: str) -> None:
    """A call made while the service is away is answered when it is back within seconds."""
    port = unused_port()
    channels = Channels(ClientConfig(api_key=admin_key))
    stub = channels.stub(f"127.0.0.1:{port}", registry_pb2_grpc.KeyServiceStub, registry_pb2.DESCRIPTOR)
    async with serving(sqlite_url, port) as process:
        assert len((await stub.ListKeys(registry_pb2.ListKeysRequest())).keys) == 1
        process.kill()
        process.wait()
    call = asyncio.ensure_future(stub.ListKeys(registry_pb2.ListKeysRequest()))
    async with serving(sqlite_url, port):
        assert len((await call).keys) == 1
        await channels.close()


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    """When nothing answers, the client gives up after a few tries, with a reason."""
    channels = Channels(ClientConfig(api_key="x"))
    address = f"127.0.0.1:{unused_port()}"
    stub = channels.stub(address, registry_pb2_grpc.KeyServiceStub, registry_pb2.DESCRIPTOR)
    async with asyncio.timeout(8):
        with pytest.raises(Unavailable) as caught:
            await stub.ListKeys(registry_pb2.ListKeysRequest())
    await channels.close()
    assert caught.value.reason == "SERVICE_UNREACHABLE"


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"PENTAD_DATABASE_URL": ""}, "PENTAD_DATABASE_URL is not set"),
        ({"PENTAD_DATABASE_URL": "sqlite:////nowhere/at/all.db"}, "unable to open database file"),
        ({"PENTAD_HOST": "203.0.113.7"}, "cannot be opened"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(sqlite_url: str, environ: dict[str, str], text: str) -> None:
    """A setting that does not fit ends the process with one line that names it, and no traceback."""
    with service(**{"PENTAD_DATABASE_URL": sqlite_url, **environ}) as process:
        code, _, err = outcome(process)
    assert code == 2
    assert text in err
    assert err.startswith("error: ") and err.count("\n") == 1


def test_a_database_without_a_schema_is_said(tmp_path: Path) -> None:
    """An empty database ends the process with the command that prepares it."""
    with service(PENTAD_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db") as process:
        code, _, err = outcome(process)
    assert code == 2
    assert "has no schema yet: run `python -m pentad_common.db upgrade --url URL`" in err


@pytest.mark.parametrize("good", [True, False])
def test_the_bootstrap_command(tmp_path: Path, good: bool) -> None:
    """The command prints one JSON object, or one line of error with exit code 2."""
    folder = tmp_path if good else tmp_path / "nowhere"
    urls = [
        "--database-url",
        f"sqlite:///{folder}/pentad.db",
        "--journal-url",
        f"sqlite:///{folder}/journal.db",
    ]
    arguments = [*urls, "--key-file", str(tmp_path / "key")]
    done = subprocess.run(
        [sys.executable, "-m", "pentad_common.bootstrap", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if good:
        assert done.returncode == 0
        assert sorted(json.loads(done.stdout)) == ["admin_key", "agent_key", "service_key"]
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
