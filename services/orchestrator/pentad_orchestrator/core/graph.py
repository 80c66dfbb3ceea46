"""A plan with its lookups: what comes before and after each step. Made once a run."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from pentad.orchestrator.v1 import orchestrator_pb2

Step = orchestrator_pb2.Step
Edge = orchestrator_pb2.Edge


class Graph:
    """A compiled plan. `order`: step names, every one after those it comes after."""

    def __init__(self, plan: orchestrator_pb2.Plan) -> None:
        self.plan = plan
        self.steps: dict[str, Step] = {step.name: step for step in plan.steps}
        self.incoming: dict[str, list[Edge]] = {name: [] for name in self.steps}
        self.outgoing: dict[str, list[Edge]] = {name: [] for name in self.steps}
        for edge in plan.edges:
            self.incoming[edge.to].append(edge)
            self.outgoing[getattr(edge, "from")].append(edge)
        self.order = topological_order(self.steps, plan.edges)
        self.adaptive = plan.adaptive if plan.HasField("adaptive") else None

    def before(self, name: str) -> list[str]:
        """The steps that this one comes directly after, in the order of the plan."""
        sources = {getattr(edge, "from") for edge in self.incoming.get(name, ())}
        return [step for step in self.steps if step in sources] if sources else []

    def ancestors(self, name: str) -> set[str]:
        """All steps that come before this one."""
        found: set[str] = set()
        queue = deque([name])
        while queue:
            fresh = {getattr(edge, "from") for edge in self.incoming[queue.popleft()]} - found
            found |= fresh
            queue.extend(fresh)
        return found

    def result_steps(self) -> list[str]:
        """The steps whose outputs are the result: those named, or those that nothing comes after."""
        return list(self.plan.result_steps) or [name for name in self.steps if not self.outgoing[name]]

    def optional_steps(self) -> list[str]:
        """Steps whose failure does not fail the run."""
        optional = orchestrator_pb2.ON_FAILURE_CONTINUE
        return [name for name, step in self.steps.items() if step.on_failure == optional]


def topological_order(names: Iterable[str], edges: Iterable[Edge]) -> list[str]:
    """Names so that every edge goes forward; those on or after a cycle are missing."""
    waiting: dict[str, int] = dict.fromkeys(names, 0)
    targets: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        waiting[edge.to] += 1
        targets[getattr(edge, "from")].append(edge.to)
    ready = deque(name for name, count in waiting.items() if count == 0)
    order = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for target in targets[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return order


def find_cycle(names: Iterable[str], edges: Iterable[Edge]) -> list[str]:
    """The names on one cycle, the first again at the end; empty if there is none."""
    names = list(names)
    stuck = set(names) - set(topological_order(names, edges))
    # Every step that is stuck comes after another one that is: walking back must end up in a circle.
    sources = {edge.to: getattr(edge, "from") for edge in edges if {edge.to, getattr(edge, "from")} <= stuck}
    if not sources:
        return []
    path = [next(iter(sources))]
    while path.count(path[-1]) == 1:
        path.append(sources[path[-1]])
    return path[path.index(path[-1]) :][::-1]
