"""Where the time goes: samples of Python stacks, taken by py-spy while a measurement runs."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.bus.broker import PEERS
from benchmarks.bus.process import cpu

RATE = 250
SHOWN = 25


Thread = tuple[str, int]
"""Name and id."""


class Profile:
    """Records processes for some seconds into `folder`, a file of folded stacks each."""

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._title = title
        self._threads: dict[str, tuple[int, dict[Thread, float]]] = {}
        self._running: dict[Path, subprocess.Popen[bytes]] = {}
        self._lines: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, processes: Mapping[str, int], seconds: float) -> None:
        """Starts to record processes, by name."""
        self._threads = {name: (pid, threads(pid)) for name, pid in processes.items()}
        for name, pid in processes.items():
            target = self._folder / f"{self._title}-{name}.folded"
            command = [str(PEERS / "py-spy"), "record", "--pid", str(pid), "--format", "raw"]
            command += ["--rate", str(RATE), "--duration", str(max(1, round(seconds))), "--nonblocking"]
            self._running[target] = subprocess.Popen(
                [*command, "--output", str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )

    def stop(self) -> None:
        """Notes the seconds of CPU of each process's threads since then; those without Python are gRPC's."""
        for name, (pid, before) in self._threads.items():
            used = Counter({thread: cpu - before.get(thread, 0.0) for thread, cpu in threads(pid).items()})
            shown = ", ".join(f"{thread[0]} {cpu:.2f}" for thread, cpu in used.most_common(6) if cpu >= 0.01)
            self._lines.append(f"{name}: CPU seconds by thread: {shown}")

    def summary(self) -> str:
        """The functions in which each process was most, once all are recorded."""
        found = [self._of(path, process) for path, process in self._running.items()]
        return "\n".join([*self._lines, *found])

    def _of(self, path: Path, process: subprocess.Popen[bytes]) -> str:
        _, errors = process.communicate(timeout=60)
        if not path.exists():
            return f"{path.stem}: not recorded: {errors.decode(errors='replace').strip()[-200:]}"
        lines = [f"{path.stem}: samples itself, and with what it calls -> {path}"]
        return "\n".join([*lines, *top(path.read_text())])


def threads(pid: int) -> dict[Thread, float]:
    """CPU seconds of each thread of a process."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            found[(task.with_name("comm").read_text().strip(), int(task.parent.name))] = cpu(task)
    return found


def top(folded: str) -> list[str]:
    """The functions with most samples of their own."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    return [
        f"  {100 * count / total:5.1f} %  {100 * whole[name] / total:5.1f} %  {name}"
        for name, count in own.most_common(SHOWN)
    ]
