"""Processes of a benchmark: started, told things, measured, and gone when the benchmark is."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 10.0


class Process:
    """A process that dies with this one. Its output goes to `log`."""

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, talks: bool = False
    ) -> None:
        self.log = log
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [*dies_with_us, *command],
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or file,
                stderr=file,
                cwd=ROOT,
                env=os.environ | (env or {}),
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def check(self) -> None:
        """Raises RuntimeError with the end of its log if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"a process ended by itself; {self.log.name} says:\n{tail(self.log)}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def kill(self) -> None:
        """As `kill -9`."""
        self.stop(signal.SIGKILL)

    # ---------------------------------------------------------------------------------------------- usage

    def cpu_seconds(self) -> float:
        """User and system time of it and its children so far."""
        return sum(cpu(Path(f"/proc/{pid}/stat")) for pid in family(self.pid))

    def memory_bytes(self, peak: bool = False) -> int:
        """Resident memory of it and its children: now, or at most."""
        return sum(_memory(pid, "VmHWM" if peak else "VmRSS") for pid in family(self.pid))


class Talker(Process):
    """A process that reads and writes lines of JSON."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        super().__init__(command, log, talks=True)
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line.decode())
        self._answers.put("")

    def tell(self, what: object) -> None:
        """Sends a line."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `ask` says why
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, seconds: float) -> dict[str, Any]:
        """Its next line. Raises RuntimeError with the end of its log if it ends, or takes longer."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise RuntimeError(
                f"a client said nothing for {seconds:.0f} s; its log says:\n{tail(self.log)}"
            ) from None
        if not line:
            raise RuntimeError(f"a client ended by itself; its log says:\n{tail(self.log)}")
        said: dict[str, Any] = json.loads(line)
        return said


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-2000:] if log.exists() else "(nothing)"


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu(stat: Path) -> float:
    """User and system time so far, of the process or thread whose `stat` this is; 0 if it has gone."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
