"""Write an agent: inherit BaseAgent, name its CAPABILITIES, write `execute()`, and drop the file into
`agents/`."""

from __future__ import annotations

import pentad_client.polling  # noqa: F401 - before gRPC
from pentad_agents.agent import BaseAgent, on
from pentad_agents.context import Answer, Context, Log, Message
from pentad_agents.errors import AgentError
from pentad_agents.output import Final, Handoff, Output
from pentad_agents.task import Candidate, Part, StepOutput, Task

__all__ = [
    "AgentError",
    "Answer",
    "BaseAgent",
    "Candidate",
    "Context",
    "Final",
    "Handoff",
    "Log",
    "Message",
    "Output",
    "Part",
    "StepOutput",
    "Task",
    "on",
]
