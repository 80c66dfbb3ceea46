"""How gRPC waits for its sockets. Imported before gRPC itself, which reads its settings once."""

from __future__ import annotations

import os
from importlib.metadata import version

KNOWN = "1.85."
"""The releases of grpcio that know the setting; others would print an error."""
EXPERIMENTS = "-event_engine_client,-event_engine_listener"
"""The thread that waits for completed calls reads the sockets, too, instead of being woken by one that does:
measured, a fifth of a message's latency, and a tenth of its CPU.
"""


def read_sockets_at_once() -> None:
    """Asks gRPC to, unless the environment has `GRPC_EXPERIMENTS` or gRPC's release does not know it."""
    if version("grpcio").startswith(KNOWN):
        os.environ.setdefault("GRPC_EXPERIMENTS", EXPERIMENTS)


read_sockets_at_once()
