"""`pentad up` itself: from an empty folder to running processes, and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from pentad_cli.bootstrap import bootstrap
from pentad_cli.openai_hint import openai_hint
from pentad_cli.ports import ports_from
from pentad_cli.processes import processes
from pentad_cli.state import StateDir, StateLock
from pentad_cli.supervisor import Supervisor
from pentad_cli.supervisor_view import Lines, Picture
from pentad_cli.units import span

_REDRAW_SECONDS = 1.0
_LEFTOVER_SECONDS = 5.0


async def serve(state: StateDir, port_base: int, agents_dir: Path, live: bool) -> None:
    """Runs Pentad until a signal asks it to stop. Raises CliError if it cannot be started."""
    began = time.time()
    lock = StateLock(state)
    view = Picture() if live else Lines()
    try:
        await _end_leftovers(state)
        ports = ports_from(port_base)
        view.note(f"state in {state.path}, agents in {agents_dir}, ports from {ports.base + 1}")
        about = {
            "port_base": ports.base,
            "agents_dir": str(agents_dir),
            "addresses": ports.addresses(),
            "openai_base_url": ports.http_url,
        }
        keys = asyncio.create_task(bootstrap(state))
        try:
            plan = processes(state, ports, keys, agents_dir)
            hint = openai_hint(state, ports.http_url)
            await _supervised(Supervisor(plan, state, view, about, began), view, hint)
        finally:
            keys.cancel()
            await asyncio.gather(keys, return_exceptions=True)
    finally:
        lock.release()
    view.note("Pentad has stopped")


async def _supervised(supervisor: Supervisor, view: Picture | Lines, hint: str) -> None:
    def ready(seconds: float) -> None:
        view.note(f"Pentad is ready after {span(seconds)}")
        view.note(f"for programs that speak OpenAI's interface: {hint}")
        if isinstance(view, Picture):
            view.footer('In another terminal: pentad run "…" --file FILE.  Ctrl-C stops all.')

    with contextlib.ExitStack() as stack:
        stack.enter_context(_on_signals(supervisor.stop))
        if isinstance(view, Picture):
            stack.enter_context(view.drawing(supervisor))
            redrawing = asyncio.create_task(_redraw(view))
            stack.callback(redrawing.cancel)
        await supervisor.run(ready)


async def _redraw(view: Picture) -> None:
    while True:
        view.changed()
        await asyncio.sleep(_REDRAW_SECONDS)


@contextlib.contextmanager
def _on_signals(action: object) -> Iterator[None]:
    """Ctrl-C, `pentad down` and a closed terminal call `action` within the block."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, action)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _end_leftovers(state: StateDir) -> None:
    """Ends what a supervisor that was killed has left, which is next to never anything: see `launch`."""
    before = state.read_up()
    if before is None:
        return
    parent = str(before.get("pid"))
    pids = [process["pid"] for process in before.get("processes", []) if process.get("pid")]
    until = time.monotonic() + _LEFTOVER_SECONDS
    while any([_kill_if_ours(pid, parent) for pid in pids]) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    state.up_file.unlink(missing_ok=True)


def _kill_if_ours(pid: int, parent: str) -> bool:
    """Kills `pid` if it is what supervisor `parent` launched (ids are used again); whether it was."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if "pentad_cli.launch" not in words or parent not in words:
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True
