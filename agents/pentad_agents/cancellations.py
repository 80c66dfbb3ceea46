"""Which runs were cancelled lately: their tasks may still be on their way."""

from __future__ import annotations

from collections import OrderedDict

from pentad.common.v1 import task_pb2

KEPT = 4096


class Cancellations:
    """Remembers the latest cancellations of runs and of single attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._known: OrderedDict[str, str] = OrderedDict()

    def note(self, run_id: str, agent_run_id: str = "", order_id: str = "") -> None:
        """A run, or one attempt of it, is cancelled.

        `order_id`: the cancelling message's id. Like those of attempts it is a UUIDv7, so it tells which
        attempts were made after it: those of a run that is tried again.
        """
        key = agent_run_id or run_id
        if key:
            self._known[key] = "" if agent_run_id else order_id
            self._known.move_to_end(key)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)

    def covers(self, task: task_pb2.Task) -> bool:
        """Whether the task is not wanted any more."""
        if task.agent_run_id in self._known:
            return True
        order_id = self._known.get(task.run_id)
        return order_id is not None and (not order_id or task.agent_run_id < order_id)
