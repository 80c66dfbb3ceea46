"""`pentad up --detach`: Pentad in the background, and how to stop it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pentad_cli import launch
from pentad_cli.child import log_tail
from pentad_cli.failure import CliError, Exit
from pentad_cli.state import StateDir

_POLL_SECONDS = 0.05
_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
LOG = "up"


def start_detached(state: StateDir, port_base: int, agents_dir: Path, tied: bool = False) -> dict[str, Any]:
    """Starts `pentad up` in a session of its own and returns what `up.json` says once all is ready.

    `tied`: it ends with this process. Raises CliError with what it complained about if it does not come up.
    """
    log = state.log(LOG)
    offset = log.stat().st_size if log.exists() else 0
    command = launch.command("pentad_cli") if tied else [sys.executable, "-P", "-m", "pentad_cli"]
    options = ["--state-dir", str(state.path), "--port-base", str(port_base), "--agents-dir", str(agents_dir)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _wait(process, state, log, offset)
    except BaseException:  # Ctrl-C too
        process.terminate()
        process.wait()
        raise


def _wait(process: subprocess.Popen[bytes], state: StateDir, log: Path, offset: int) -> dict[str, Any]:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise _failure(log, offset)
        up = state.read_up()
        if up and up.get("pid") == process.pid and up.get("state") == "ready":
            return up
        time.sleep(_POLL_SECONDS)
    raise CliError(
        "NOT_READY", f"Pentad was not ready after {_START_SECONDS:.0f} s", "\n".join(log_tail(log))
    )


def _failure(log: Path, offset: int) -> CliError:
    """What the process in the background said last, from its `error:` line on."""
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not starts:
        return CliError("NOT_READY", "Pentad did not start", "\n".join([*lines[-15:], f"Its log: {log}"]))
    first, *rest = lines[starts[-1] :]
    return CliError("NOT_READY", first.removeprefix("error: "), "\n".join(line.strip() for line in rest))


def stop_running(state: StateDir, seconds: float = _STOP_SECONDS) -> bool:
    """Stops the Pentad of a state directory and waits until all of it has ended; False if none ran."""
    pid = state.holder()
    if pid is None:
        return False
    _send(pid, signal.SIGTERM)
    if not _gone(state, seconds):
        _send(pid, signal.SIGKILL)  # takes its children along
        if not _gone(state, 5.0):
            raise CliError("STILL_RUNNING", f"Pentad (pid {pid}) does not end", code=Exit.FAILED)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CliError("NOT_YOURS", f"Pentad (pid {pid}) is another user's; stop it as that user") from None


def _gone(state: StateDir, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while state.holder() is not None:
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_SECONDS)
    return True
