"""Services as processes: started, killed and started again on the same port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

START_SECONDS = 20.0


class ServiceProcess:
    """`python -m <module>` on a port and a database; its log goes to a file."""

    def __init__(self, module: str, port: int, database_url: str, log: Path, **settings: str) -> None:
        self.module = module
        self.address = f"127.0.0.1:{port}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._environ: Mapping[str, str] = {
            **os.environ,
            "PENTAD_PORT": str(port),
            "PENTAD_DATABASE_URL": database_url,
            "PENTAD_LOG_FORMAT": "json",
            **{f"PENTAD_{name.upper()}": value for name, value in settings.items()},
        }

    def set(self, variables: Mapping[str, str]) -> None:
        """Variables by their own names, for the next start."""
        self._environ = {**self._environ, **variables}

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts it; returns when it serves."""
        before = self._log.stat().st_size if self._log.exists() else 0
        self._process = await asyncio.to_thread(self._spawn)
        async with asyncio.timeout(START_SECONDS):
            while b'"event": "serving"' not in self._log.read_bytes()[before:]:
                assert self._process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", self.module]
        with self._log.open("ab") as output:
            return subprocess.Popen(command, env=self._environ, stdout=output, stderr=output)

    async def kill(self) -> None:
        """Kills it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def stop(self) -> int:
        """Asks it to stop; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, START_SECONDS)

    async def close(self) -> None:
        """Kills it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            await self.kill()

    def idle_megabytes(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
