"""`pentad runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pentad_cli.completion import run_ids
from pentad_cli.options import json_option, limit_option
from pentad_cli.session import take, with_pentad
from pentad_cli.tree import group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pentad.orchestrator.v1 import orchestrator_pb2
    from pentad_client import Pentad

STATES = ("pending", "running", "waiting", "paused", "completed", "failed", "cancelled")
RUN = click.argument("run_id", metavar="RUN", shell_complete=run_ids)


@group("runs", examples="pentad runs list\npentad runs show last")
def runs() -> None:
    """See and steer runs. RUN is a run's id, the beginning of one, or `last`."""


@runs.command(
    "list", examples="pentad runs list --state failed\npentad runs list --json | jq -r '.[].run_id'"
)
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only those; may be repeated."
)
@click.option("--project", default="", help="Only those of this project.")
@limit_option(20)
@json_option("One JSON array.")
def list_runs(states: tuple[str, ...], project: str, limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    from pentad_cli.run_document import run_summary
    from pentad_cli.table import show_json, show_table

    async def read(pentad: Pentad) -> list[orchestrator_pb2.Run]:
        return await take(pentad.orchestrator.list_runs(states=states, project=project), limit)

    found = with_pentad(read)
    if as_json:
        show_json([run_summary(run) for run in found])
    else:
        headings = ("run", "state", "strategy", "created", "took", "instruction")
        show_table(headings, [_row(run) for run in found], "no runs")


@runs.command(
    "show",
    short_help="Show a run, its steps and its result.",
    examples="pentad runs show last\npentad runs show 0199c2 --json | jq .steps",
)
@RUN
@json_option("One JSON document, as of `pentad run --json`.")
def show(run_id: str, as_json: bool) -> None:
    """Show a run with every attempt of its steps, and its result."""
    from pentad_cli.artifacts import fetched
    from pentad_cli.run_document import run_document
    from pentad_cli.run_report import show_run
    from pentad_cli.table import show_json

    async def read(pentad: Pentad) -> orchestrator_pb2.Run:
        return await fetched(pentad, await _get(pentad, run_id))

    run = with_pentad(read)
    if as_json:
        show_json(run_document(run))
    else:
        show_run(run)


@runs.command(
    "watch",
    short_help="Follow a run to its end.",
    examples="pentad runs watch last\npentad runs watch last --json > run.json",
)
@RUN
@json_option("One JSON document at the end, as of `pentad run --json`.")
def watch(run_id: str, as_json: bool) -> int:
    """Follow a run to its end; prints and exits as `pentad run` does. Ctrl-C leaves the run alone."""
    from pentad_cli.artifacts import fetched
    from pentad_cli.follow import follow
    from pentad_cli.instance import find_target
    from pentad_cli.outcome import show_outcome
    from pentad_cli.run_progress import showing_progress

    target = find_target()

    async def follow_it(pentad: Pentad) -> orchestrator_pb2.Run:
        found = (await _get(pentad, run_id)).run_id
        async with showing_progress(found) as progress:
            await follow(pentad, target, progress)
        return await fetched(pentad, await pentad.orchestrator.get_run(found))

    return show_outcome(with_pentad(follow_it), as_json)


@runs.command(
    "cancel",
    short_help="End a run.",
    examples='pentad runs cancel last\npentad runs cancel 0199c2 --reason "wrong file"',
)
@RUN
@click.option("--reason", default="cancelled at the command line", help="For its history.")
@json_option("The run as it stands now.")
def cancel(run_id: str, reason: str, as_json: bool) -> None:
    """End a run: agents at work are told, and their calls to models are cut."""
    _change(run_id, as_json, lambda pentad, found: pentad.orchestrator.cancel_run(found, reason))


@runs.command("pause", examples="pentad runs pause last")
@RUN
@json_option("The run as it stands now.")
def pause(run_id: str, as_json: bool) -> None:
    """Start no further step of a run; steps at work finish."""
    _change(run_id, as_json, lambda pentad, found: pentad.orchestrator.pause_run(found))


@runs.command("resume", examples="pentad runs resume last")
@RUN
@json_option("The run as it stands now.")
def resume(run_id: str, as_json: bool) -> None:
    """Go on with a paused run."""
    _change(run_id, as_json, lambda pentad, found: pentad.orchestrator.resume_run(found))


@runs.command(
    "retry",
    short_help="Take up a failed or cancelled run where it stopped.",
    examples="pentad runs retry last && pentad runs watch last",
)
@RUN
@json_option("The run as it stands now.")
def retry(run_id: str, as_json: bool) -> None:
    """Take up a failed or cancelled run where it stopped; steps with an output are not done again."""
    _change(run_id, as_json, lambda pentad, found: pentad.orchestrator.retry_run(found))


@runs.command("input", examples='pentad runs input last approve "Yes, send it"')
@RUN
@click.argument("step")
@click.argument("text")
@json_option("The run as it stands now.")
def give_input(run_id: str, step: str, text: str, as_json: bool) -> None:
    """Answer STEP of a run, which waits for a person."""
    from pentad.common.v1 import common_pb2

    content = common_pb2.Content(content_type="text/plain; charset=utf-8", data=text.encode())
    part = common_pb2.Part(name="input", content=content)
    _change(run_id, as_json, lambda pentad, found: pentad.orchestrator.send_input(found, step, [part]))


def _change(
    run_id: str, as_json: bool, action: Callable[[Pentad, str], Awaitable[orchestrator_pb2.Run]]
) -> None:
    from pentad_cli.run_document import run_document, state_name
    from pentad_cli.table import show_json

    async def change(pentad: Pentad) -> orchestrator_pb2.Run:
        return await action(pentad, (await _get(pentad, run_id)).run_id)

    run = with_pentad(change)
    if as_json:
        show_json(run_document(run))
    else:
        print(f"run {run.run_id} is {state_name(run.state)}")


async def _get(pentad: Pentad, given: str) -> orchestrator_pb2.Run:
    from pentad_cli.run_lookup import find_run

    return await find_run(pentad, given)


def _row(run: orchestrator_pb2.Run) -> list[Any]:
    from pentad_cli.run_document import moment, state_name
    from pentad_cli.units import span

    created, ended = moment(run, "create_time"), moment(run, "end_time")
    when = created.astimezone().strftime("%Y-%m-%d %H:%M:%S") if created else ""
    took = span((ended - created).total_seconds()) if created and ended else ""
    state = state_name(run.state) + (" (degraded)" if run.degraded else "")
    instruction = run.instruction if len(run.instruction) <= 60 else run.instruction[:59] + "…"
    return [run.run_id, state, run.strategy, when, took, instruction]
