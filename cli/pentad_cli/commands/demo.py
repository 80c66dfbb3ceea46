"""`pentad demo`."""

from __future__ import annotations

from pentad_cli.tree import chosen_state_dir, command

EXAMPLES = """
pentad demo
pentad demo --state-dir /tmp/demo
"""


@command("demo", examples=EXAMPLES, short_help="Start all, run one run of each strategy, stop it again.")
def demo() -> int:
    """Start Pentad, run one run of each strategy on the files in examples/, and stop it again.

    It takes free ports and a state directory of its own, the default one's name with -demo at its end, which
    it keeps.
    """
    from pentad_cli.demonstration import demonstrate
    from pentad_cli.state import StateDir, current_state_dir

    state = current_state_dir()
    if not chosen_state_dir():
        state = StateDir(state.path.with_name(f"{state.path.name}-demo"))
    return demonstrate(state)
