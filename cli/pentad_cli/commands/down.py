"""`pentad down`."""

from __future__ import annotations

from pentad_cli.state import current_state_dir
from pentad_cli.tree import command

EXAMPLES = """
pentad down
pentad down --state-dir /tmp/second
"""


@command("down", examples=EXAMPLES)
def down() -> None:
    """Stop Pentad and wait until all of it has ended.

    Runs under way are not lost: they go on at the next `pentad up`.
    """
    from pentad_cli.detached import stop_running

    state = current_state_dir()
    if stop_running(state):
        print(f"Pentad on {state.path} has stopped.")
    else:
        print(f"No Pentad is running on {state.path}.")
