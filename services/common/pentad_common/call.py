"""Who calls, for which tenant, until when: the identity and envelope of the RPC being served."""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from pentad_common.errors import InvalidArgument, PermissionDenied

Role = Literal["admin", "client", "agent", "service"]

AGENT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED_PREFIX = "pentad."


def check_agent_name(name: str) -> str:
    """The name itself. Raises InvalidArgument AGENT_NAME_INVALID unless it is one an agent may have."""
    if not AGENT_NAME.fullmatch(name):
        raise InvalidArgument(
            "AGENT_NAME_INVALID",
            f"{name!r} is not an agent name: a lower-case letter, then up to 62 of a-z, 0-9, '_' and '-'",
            name=name,
            violations=[("agent", "must match ^[a-z][a-z0-9_-]{0,62}$")],
        )
    return name


@dataclass(frozen=True, slots=True)
class CallContext:
    """The RPC being served, as the domain may see it."""

    tenant_id: str
    key_id: str
    role: Role
    grants: tuple[str, ...] = ()
    """Agent names the key may act as; `*` is all."""
    agent: str | None = None
    """The agent that calls; None if the caller is no agent."""
    run_id: str | None = None
    request_id: str = ""
    traceparent: str = ""
    hops: int = 0
    budget: dict[str, int] = field(default_factory=dict)
    deadline: float | None = None
    """When the caller stops waiting, in seconds of `time.time()`; None if it never does."""

    def remaining(self) -> float | None:
        """Seconds until the deadline, not below 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.time())

    def grant(self, agent: str) -> str:
        """`agent`, if the caller may act as it. Raises PermissionDenied AGENT_NOT_GRANTED if not.

        An admin may act as any agent of its tenant. Names that start with `pentad.` are for role service
        alone.
        """
        if self.role == "service":
            return agent if agent.startswith(RESERVED_PREFIX) else check_agent_name(agent)
        all_names = self.role == "admin" or "*" in self.grants
        if agent in self.grants or (all_names and not agent.startswith(RESERVED_PREFIX)):
            return check_agent_name(agent)
        raise PermissionDenied(
            "AGENT_NOT_GRANTED",
            f"this API key may not act as agent {agent!r}; create one with `pentad keys create --role agent "
            f"--agent {agent}`",
            agent=agent,
        )


_current: ContextVar[CallContext] = ContextVar("pentad_call")


def current_call() -> CallContext:
    """The RPC being served. Raises LookupError outside of one."""
    return _current.get()


def set_current_call(call: CallContext) -> None:
    """Makes `call` the current one for this task; interceptors do it, and tests of domain code may."""
    _current.set(call)
