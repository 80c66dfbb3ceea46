"""Pentad's bus as a broker under measurement: a process of its own with its default settings."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from benchmarks.bus.broker import Broker, free_port
from benchmarks.bus.peers import Valkey
from pentad_bus.settings import BusSettings

SERVICE = "pentad.bus.v1.BusService"


class PentadBus(Broker):
    """`python -m pentad_bus` on SQLite."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = folder / "state"
        empty, self.key = template()
        shutil.copytree(empty, self.state)

    def start(self) -> None:
        self.start_bus(self.port)

    def start_bus(self, port: int, **settings: str) -> None:
        """Starts a process at a port. Settings as in BusSettings."""
        environment = {
            "PENTAD_DATABASE_URL": f"sqlite:///{self.state / 'pentad.db'}",
            "PENTAD_JOURNAL_URL": f"sqlite:///{self.state / 'journal.db'}",
            "PENTAD_PORT": str(port),
            "PENTAD_DRAIN_SECONDS": "1",
            "PENTAD_LOG_FORMAT": "json",
            **{f"PENTAD_{name.upper()}": value for name, value in settings.items()},
        }
        self.run(sys.executable, "-m", "pentad_bus", env=environment, ready=lambda: serves(port, SERVICE))


class PentadRedisBus(PentadBus):
    """One or two processes of the bus on one Valkey."""

    buses = 1

    @classmethod
    def url_setting(cls) -> str | None:
        """The setting that says where Redis is; None if this version of the bus has no such backend."""
        fields = BusSettings.model_fields
        if "bus_backend" not in fields:
            return None
        return next((name for name in fields if name.endswith("redis_url")), None)

    def start(self) -> None:
        setting = self.url_setting()
        assert setting is not None
        self._valkey = Valkey(self.folder)
        self._valkey.start()
        self.processes += self._valkey.processes
        self.ports = [self.port, *(free_port() for _ in range(self.buses - 1))]
        for port in self.ports:
            self.start_bus(port, bus_backend="redis", **{setting: self._valkey.address})

    @property
    def consumer_address(self) -> str:
        return f"127.0.0.1:{self.ports[-1]}"


class PentadRedisPair(PentadRedisBus):
    """Two processes."""

    buses = 2


@functools.cache
def template() -> tuple[Path, str]:
    """A folder with both databases, migrated and empty, to copy; and the key of an agent host."""
    folder = Path(tempfile.mkdtemp(prefix="pentad-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "pentad_common.bootstrap", "--key-file", str(folder / "key")]
    command += ["--database-url", f"sqlite:///{folder / 'pentad.db'}"]
    command += ["--journal-url", f"sqlite:///{folder / 'journal.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, json.loads(done.stdout)["agent_key"]


def serves(port: int, service: str) -> bool:
    """Whether the service at the port says so itself."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=1)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
