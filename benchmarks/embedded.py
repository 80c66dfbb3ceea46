"""A Pentad of its own for a benchmark."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

AGENTS = Path(__file__).parent / "agents"


def pentad(state: Path, *arguments: str, check: bool = True) -> str:
    """Runs a `pentad` command on a state directory; returns its standard output."""
    command = [sys.executable, "-P", "-m", "pentad_cli", *arguments, "--state-dir", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def running(state: Path) -> Iterator[None]:
    """Pentad on free ports with the agents of this folder, within the block."""
    pentad(state, "up", "--detach", "--port-base", "0", "--agents-dir", str(AGENTS))
    try:
        yield
    finally:
        pentad(state, "down")


def status(state: Path) -> dict[str, Any]:
    """What `pentad status --json` says."""
    found: dict[str, Any] = json.loads(pentad(state, "status", "--json"))
    return found
