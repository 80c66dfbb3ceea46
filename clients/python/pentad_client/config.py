"""Where Pentad is and who calls: what `pentad env` prints, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

MAX_MESSAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Addresses are `host:port`, or any gRPC target such as `dns:///bus:7401`. Files are paths to PEM."""

    api_key: str = field(default="", repr=False)
    bus_address: str = "127.0.0.1:7401"
    registry_address: str = "127.0.0.1:7402"
    context_address: str = "127.0.0.1:7403"
    orchestrator_address: str = "127.0.0.1:7404"
    llm_address: str = "127.0.0.1:7405"
    tls_ca: str = ""
    """Set: calls go over TLS, and servers must show a certificate of this authority."""
    tls_cert: str = ""
    """With `tls_key`: the certificate to show to servers that ask for one."""
    tls_key: str = ""
    timeout_seconds: float = 60.0
    """Of unary calls that say nothing else."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ClientConfig:
        """Reads PENTAD_API_KEY, PENTAD_BUS_ADDRESS and so on; what is unset keeps its default."""
        env = os.environ if environ is None else environ
        names = {item.name: item.name.upper() for item in fields(cls) if item.name != "timeout_seconds"}
        values = {name: env[f"PENTAD_{key}"] for name, key in names.items() if env.get(f"PENTAD_{key}")}
        return replace(cls(), **values)  # type: ignore[arg-type]
