"""Runs a module as `python -m` would, in a process that dies with its parent.

    python -P -m pentad_cli.launch PARENT_PID MODULE [ARGUMENT…]

The kernel kills the process when its parent is gone, `kill -9` included, so that nothing is left behind. It
is asked from inside: between fork and exec (`preexec_fn`) is not safe in a parent that has threads.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Has this process killed when `parent` ends; on systems other than Linux nothing does."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before we asked
        os._exit(1)


def command(module: str, *arguments: str) -> list[str]:
    """The command line for a child of this process. With `-P` nothing is imported from where it is called."""
    return [sys.executable, "-P", "-m", "pentad_cli.launch", str(os.getpid()), module, *arguments]


def main() -> None:
    """Takes parent, module and arguments from the command line."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with(parent)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
