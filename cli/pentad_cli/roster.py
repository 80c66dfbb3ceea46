"""Whether the agents that a run names are there, told before it starts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pentad_cli.failure import UsageProblem
from pentad_cli.run_request import CAPABILITY_MARK

if TYPE_CHECKING:
    from pentad.registry.v1 import registry_pb2
    from pentad_client import Pentad


async def check_agents(pentad: Pentad, named: Sequence[str]) -> None:
    """Raises UsageProblem UNKNOWN_AGENT about the first that nobody knows, with what is known instead."""
    if not named:
        return
    cards = [agent.card async for agent in pentad.registry.list()]
    names = {card.name for card in cards}
    capabilities = {capability for card in cards for capability in card.capabilities}
    for name in named:
        if name.startswith(CAPABILITY_MARK):
            if name.removeprefix(CAPABILITY_MARK) not in capabilities:
                raise _unknown(
                    f"no agent has the capability {name.removeprefix(CAPABILITY_MARK)!r}", capabilities
                )
        elif name not in names:
            broken = _broken_file(name, await pentad.registry.list_files())
            raise broken or _unknown(f"there is no agent {name!r}", names, name)


def _unknown(message: str, known: set[str], wanted: str = "") -> UsageProblem:
    close = difflib.get_close_matches(wanted, known, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    there = ", ".join(sorted(known)) or "none"
    return UsageProblem(message, f"{meant}There are: {there}. See `pentad agents list`.", "UNKNOWN_AGENT")


def _broken_file(name: str, files: Sequence[registry_pb2.AgentFile]) -> UsageProblem | None:
    """The reason, if the agent is missing because its file could not be loaded."""
    for file in files:
        stem = file.path.rpartition("/")[2].removesuffix(".py")
        if file.reason and stem.replace("_", "-") == name.replace("_", "-"):
            return UsageProblem(
                f"agent {name!r} could not be loaded from {file.path}: {file.reason}: {file.message}",
                f"It is tried again as soon as it is saved; see `pentad agents show {file.path}`.",
                "UNKNOWN_AGENT",
            )
    return None
