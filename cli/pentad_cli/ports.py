"""Which port each part of an embedded Pentad listens on."""

from __future__ import annotations

import errno
import random
import socket
from dataclasses import dataclass

from pentad_cli.failure import CliError, UsageProblem

HOST = "127.0.0.1"
DEFAULT_BASE = 7400
SERVICES = ("bus", "registry", "context", "orchestrator", "llm")
AGENTS = "agents"
"""The host of the agents: what listens there is its health check alone."""
_METRICS_OFFSET = 10
_HTTP_OFFSET = 25
_SPAN = 40
# Below the range from which Linux hands out ports to outgoing connections.
_FREE_BASES = range(10_000, 32_000, _SPAN)


@dataclass(frozen=True)
class Ports:
    """Services listen on base + 1 … base + 5, the agents' host on base + 6, metrics from base + 11 on; the
    gateway's HTTP door on base + 25."""

    base: int

    def service(self, name: str) -> int:
        """The port of a service, or of the agents' host."""
        return self.base + 1 + (*SERVICES, AGENTS).index(name)

    def metrics(self, name: str) -> int:
        return self.service(name) + _METRICS_OFFSET

    @property
    def http(self) -> int:
        """Where the gateway serves OpenAI's interface."""
        return self.base + _HTTP_OFFSET

    @property
    def http_url(self) -> str:
        """What clients of OpenAI's call the base URL."""
        return f"http://{HOST}:{self.http}/v1"

    def address(self, name: str) -> str:
        """`host:port` of a service."""
        return f"{HOST}:{self.service(name)}"

    def addresses(self) -> dict[str, str]:
        return {name: self.address(name) for name in SERVICES}

    def uses(self) -> dict[int, str]:
        """What each port is for."""
        metrics = {self.metrics(name): f"metrics of {name}" for name in SERVICES}
        services = {self.service(name): name for name in (*SERVICES, AGENTS)}
        return services | metrics | {self.http: "OpenAI's interface of llm"}


def ports_from(base: int) -> Ports:
    """The ports above `base`, all of them free; 0 looks for a base with free ones.

    Raises UsageProblem for a base that cannot be, CliError PORT_IN_USE naming the first port that is taken.
    """
    if base == 0:
        return Ports(free_base())
    if not 1024 <= base <= 65535 - _SPAN:
        raise UsageProblem(f"--port-base must be 1024 to {65535 - _SPAN}, or 0 for free ports; it is {base}")
    ports = Ports(base)
    for port, purpose in ports.uses().items():
        if not is_free(port):
            raise port_in_use(port, purpose)
    return ports


def port_in_use(port: int, purpose: str) -> CliError:
    return CliError(
        "PORT_IN_USE",
        f"port {port} ({purpose}) is already in use",
        f"Choose other ports, as with --port-base {free_base()}, or --port-base 0 for any free ones; "
        "`pentad status` shows whether a Pentad of yours has it.",
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one in TIME_WAIT counts as free
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_base() -> int:
    """A base whose ports are all free at this moment."""
    for base in random.sample(_FREE_BASES, len(_FREE_BASES)):
        if all(is_free(port) for port in Ports(base).uses()):
            return base
    raise CliError("PORT_IN_USE", "no free ports were found", "Choose some with --port-base PORT.")
