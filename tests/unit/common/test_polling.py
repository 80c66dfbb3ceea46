"""How gRPC is asked to wait for its sockets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_CODE = """
import importlib, sys
importlib.import_module(sys.argv[1])
import grpc
grpc.insecure_channel("127.0.0.1:1").close()
names = list(sys.modules)
print(names.index("pentad_client.polling") < names.index("grpc._cython.cygrpc"))
"""


@pytest.mark.parametrize("module", ["pentad_bus", "pentad_registry", "pentad_llm_gateway", "pentad_agents"])
def test_grpc_is_asked_before_it_is_loaded_and_understands(module: str) -> None:
    """In a process of ours the setting is there before gRPC is, and gRPC has no complaint about it."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    done = subprocess.run(
        [sys.executable, "-c", _CODE, f"{module}.__main__"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
