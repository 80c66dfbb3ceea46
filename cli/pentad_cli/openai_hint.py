"""How programs that speak OpenAI's interface find this Pentad."""

from __future__ import annotations

import shlex

from pentad_cli.state import StateDir


def openai_hint(state: StateDir, base_url: str) -> str:
    """A line for a shell, ready to be pasted; the key itself is not in it."""
    return f'export OPENAI_BASE_URL={base_url} OPENAI_API_KEY="$(cat {shlex.quote(str(state.key_file))})"'
