"""A broker under measurement: its processes, and where it listens."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bus.process import ROOT, Process

START_SECONDS = 180.0
"""A bus with a million messages in its journal reads them first."""
PEERS = ROOT / ".venv-bench" / "bin"
"""The environment of the peers' servers and clients."""


class Broker:
    """Listens on a free loopback port, and keeps what it keeps in `folder`. Start it once, or again after
    `kill`.
    """

    key = ""
    """What clients show to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[Process] = []

    @property
    def address(self) -> str:
        """What its clients are told."""
        return f"127.0.0.1:{self.port}"

    @property
    def consumer_address(self) -> str:
        """What consumers are told: another process where there are several."""
        return self.address

    def start(self) -> None:
        """Returns when it takes connections. Raises RuntimeError with its log if it does not."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends its processes, the last started first."""
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()

    def kill(self) -> None:
        """As `kill -9`."""
        for process in reversed(self.processes):
            process.kill()
        self.processes.clear()

    def cpu_seconds(self) -> float:
        """Of all its processes so far."""
        return sum(process.cpu_seconds() for process in self.processes)

    def memory_bytes(self, peak: bool = False) -> int:
        """Of all its processes."""
        return sum(process.memory_bytes(peak) for process in self.processes)

    def run(self, *command: str, ready: Callable[[], bool], env: dict[str, str] | None = None) -> None:
        """Starts a process, and waits until `ready`."""
        process = Process(command, self.folder / "broker.log", env=env)
        self.processes.append(process)
        until = time.monotonic() + START_SECONDS
        while not ready():
            process.check()
            if time.monotonic() > until:
                raise RuntimeError(f"{command[0]} did not start within {START_SECONDS:.0f} s")
            time.sleep(0.02)

    def listens(self) -> bool:
        """Whether something takes connections at its port."""
        return listens(self.port)


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
