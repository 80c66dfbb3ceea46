"""Runs a module as `python -m` would, in a process that dies with its parent.

    python -P -m pentad_cli.launch PARENT_PID now|wait MODULE [ARGUMENT…]

The kernel kills the process when its parent is gone, `kill -9` included, so that nothing is left behind. It
is asked from inside: between fork and exec (`preexec_fn`) is not safe in a parent that has threads.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOW, _WAIT = "now", "wait"


def die_with(parent: int) -> None:
    """Has this process killed when `parent` ends; on systems other than Linux nothing does."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before we asked
        os._exit(1)


def command(module: str, *arguments: str, waiting: bool = False) -> list[str]:
    """The command line for a child of this process. With `-P` nothing is imported from where it is called.

    `waiting`: it loads what the module imports, and then waits for a line of JSON on standard input, with
    more variables for its environment. So it can start before they are known, and they are in no listing.
    """
    start = [sys.executable, "-P", "-m", "pentad_cli.launch", str(os.getpid())]
    return [*start, _WAIT if waiting else _NOW, module, *arguments]


def main() -> None:
    """Takes parent, when to begin, module and arguments from the command line."""
    parent, begin, module = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    die_with(parent)
    if begin == _WAIT:
        _preload(module)
        os.environ.update(json.loads(sys.stdin.readline() or sys.exit()))  # nothing: the parent gave up
    sys.argv = sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _preload(module: str) -> None:
    """Imports what running the module would, and forgets the module itself, which is to be the main one."""
    name = f"{module}.__main__" if hasattr(importlib.import_module(module), "__path__") else module
    importlib.import_module(name)
    del sys.modules[name]


if __name__ == "__main__":
    main()
