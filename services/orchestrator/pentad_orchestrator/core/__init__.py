"""The pure core: what a run does next, given what it is and what happened. No I/O, no clock, no randomness.

`compile_strategy` makes a Plan out of what was asked for, `advance` moves a run by one event. Plans, parts
and usage are the contract's own messages, treated as values that nobody changes; times are Unix seconds.
"""

from __future__ import annotations

from pentad_orchestrator.core.advance import advance, next_wake
from pentad_orchestrator.core.graph import Graph
from pentad_orchestrator.core.plan import Policy, compile_strategy
from pentad_orchestrator.core.state import RunState

__all__ = ["Graph", "Policy", "RunState", "advance", "compile_strategy", "next_wake"]
