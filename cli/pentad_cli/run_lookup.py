"""Finds the run that a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pentad_cli.failure import UsageProblem
from pentad_cli.session import take
from pentad_client.errors import NotFound

if TYPE_CHECKING:
    from pentad.orchestrator.v1 import orchestrator_pb2
    from pentad_client import Pentad

LAST = "last"
_SEARCHED = 1000
_WHOLE_ID = 36


async def find_run(pentad: Pentad, given: str) -> orchestrator_pb2.Run:
    """The run of that id, of the only id that begins so, or the newest for `last`.

    Raises NotFound RUN_NOT_FOUND, UsageProblem RUN_AMBIGUOUS.
    """
    if len(given) >= _WHOLE_ID:
        return await pentad.orchestrator.get_run(given)
    if given == LAST:
        newest = await take(pentad.orchestrator.list_runs(), 1)
        if not newest:
            raise NotFound("RUN_NOT_FOUND", "there are no runs yet")
        return await pentad.orchestrator.get_run(newest[0].run_id)
    known = await take(pentad.orchestrator.list_runs(), _SEARCHED)
    found = [run.run_id for run in known if run.run_id.startswith(given)]
    if len(found) > 1:
        raise UsageProblem(
            f"{len(found)} runs begin with {given!r}",
            "\n".join(["Give more of the id:", *found[:5]]),
            "RUN_AMBIGUOUS",
        )
    return await pentad.orchestrator.get_run(found[0] if found else given)
