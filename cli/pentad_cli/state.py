"""The state directory: where one Pentad keeps everything, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pentad_cli.failure import CliError, UsageProblem
from pentad_cli.tree import chosen_state_dir

STATE_DIR_VARIABLE = "PENTAD_STATE_DIR"


@dataclass(frozen=True)
class StateDir:
    """Paths within a state directory."""

    path: Path

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.path / 'pentad.db'}"

    @property
    def journal_url(self) -> str:
        """The bus writes so often that it has a file of its own."""
        return f"sqlite:///{self.path / 'journal.db'}"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def key_file(self) -> Path:
        """The admin key of tenant `default`, readable by its owner alone."""
        return self.path / "key"

    @property
    def up_file(self) -> Path:
        """What runs, as JSON, while it runs."""
        return self.path / "up.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "up.lock"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def prepare(self) -> None:
        """Makes the folders. Raises CliError STATE_DIR_UNUSABLE if they cannot be made or written to."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise CliError(
                "STATE_DIR_UNUSABLE",
                f"the state directory {self.path} cannot be used: {_why(error)}",
                "Choose another with --state-dir DIR or PENTAD_STATE_DIR.",
            ) from None

    def read_up(self) -> dict[str, Any] | None:
        """What `up.json` says; None without one. It may be left over: see `holder`."""
        try:
            document = json.loads(self.up_file.read_text())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def write_up(self, document: dict[str, Any]) -> None:
        """Replaces `up.json` in one step."""
        draft = self.up_file.with_suffix(".new")
        draft.write_text(json.dumps(document, indent=1) + "\n")
        draft.replace(self.up_file)

    def read_key(self) -> str | None:
        """The admin key; None if there is none that can be read."""
        try:
            return self.key_file.read_text().strip() or None
        except OSError:
            return None

    def holder(self) -> int | None:
        """Process id of the `pentad up` that runs on this state; None if none does."""
        try:
            with self.lock_file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
        except BlockingIOError:
            return _pid_in(self.lock_file)
        except OSError:
            return None


class StateLock:
    """Held by the one `pentad up` of a state directory until its process ends, however it ends."""

    def __init__(self, state: StateDir) -> None:
        """Takes the lock. Raises CliError ALREADY_RUNNING if another process has it."""
        self._file = state.lock_file.open("a+")
        # Whoever only looks (`pentad status`) holds the lock for an instant: hence the second try.
        for patience in (0.1, 0.1, 0.0):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not patience:
                    raise already_running(state, _pid_in(state.lock_file)) from None
                time.sleep(patience)
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def already_running(state: StateDir, pid: int | None) -> CliError:
    """A second `up` on the same state."""
    return CliError(
        "ALREADY_RUNNING",
        f"Pentad is already running on {state.path} (pid {pid or 'unknown'})",
        "See `pentad status`; stop it with `pentad down`, or start another with --state-dir and --port-base.",
    )


def current_state_dir(given: str | None = None) -> StateDir:
    """The state directory of this command: as given, `--state-dir`, PENTAD_STATE_DIR, or the default one."""
    named = given or chosen_state_dir() or os.environ.get(STATE_DIR_VARIABLE)
    path = Path(named).expanduser() if named else _default()
    return StateDir(Path(os.path.abspath(path)))


def _default() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # a relative one is to be ignored, says the XDG specification
        return Path(base) / "pentad"
    try:
        return Path.home() / ".local" / "state" / "pentad"
    except RuntimeError:
        raise UsageProblem(
            "there is no home directory to keep state in", "Choose a folder with --state-dir DIR.", "NO_HOME"
        ) from None


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
