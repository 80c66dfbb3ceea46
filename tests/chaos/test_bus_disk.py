"""The journal's disk is full."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pentad_client.bus import new_message
from pentad_client.errors import PentadError, Unavailable
from tests.fixtures.buses import BusProcess, Tenancy
from tests.fixtures.valkey import RedisProcess

pytestmark = pytest.mark.slow

SECONDS = 40.0
SIZE = 16 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of 16 MB; None where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _unlimit(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def fill(bus: BusProcess | RedisProcess, disk: Path | None) -> Callable[[], None]:
    """No more room for what a process writes, until what is returned is called."""
    if disk is None:
        resource.prlimit(bus.pid, resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
        return partial(_unlimit, bus.pid)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return ballast.unlink


async def test_a_full_disk_stops_acks_and_nothing_else(
    sqlite_url: str, sqlite_template: Path, tmp_path: Path, small_disk: Path | None, tenancy: Tenancy
) -> None:
    """No publish is confirmed, health says NOT_SERVING; with room again it serves, and what was confirmed is
    there, after a kill as well.
    """
    journal = shutil.copyfile(sqlite_template, (small_disk or tmp_path) / "journal.db")
    bus = BusProcess(sqlite_url, tmp_path / "bus.log", journal_url=f"sqlite:///{journal}")
    await asyncio.to_thread(bus.start)
    try:
        tenancy.address = bus.address
        client = await tenancy.client()
        reader = await client.bus.connect("reader", credit=0)
        writer = await client.bus.connect("writer")
        confirmed: list[int] = []

        async def publish(number: int) -> str:
            try:
                await writer.publish(new_message("note", f"{number:0500}", recipient="reader"))
            except Unavailable as error:
                assert error.retry_after
                return error.reason
            confirmed.append(number)
            return ""

        async with asyncio.timeout(SECONDS):
            assert not any([await publish(number) for number in range(100)])
            make_room = fill(bus, small_disk)
            refused = await asyncio.gather(*(publish(number) for number in range(100, 600)))
            assert {reason for reason in refused if reason} == {"JOURNAL_UNAVAILABLE"}
            sure = len(confirmed)
            assert await publish(600) == "JOURNAL_UNAVAILABLE"
            assert len(confirmed) == sure
            await health(bus, serving=False)
            make_room()
            await health(bus, serving=True)
            assert not any([await publish(number) for number in range(601, 700)])
            await asyncio.to_thread(bus.kill)
            await asyncio.to_thread(bus.start)
            reader.set_credit(1000)
            seen = [int((await anext(reader)).message.payload.data) for _ in confirmed]
        assert seen == confirmed
        with pytest.raises(PentadError):
            await asyncio.wait_for(writer.publish(new_message("note", "x", recipient="nobody")), SECONDS)
    finally:
        await asyncio.to_thread(bus.kill)


async def health(bus: BusProcess, *, serving: bool) -> None:
    """Waits until the health check says so."""
    while await asyncio.to_thread(bus.is_serving) != serving:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
