"""How a run ended: its result on standard output, everything else on standard error, an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.failure import Exit
from pentad_cli.parts import content_type, is_json, is_markdown, part_text, part_value
from pentad_cli.run_document import run_document, state_name
from pentad_cli.table import show_json
from pentad_cli.terminal import out, out_is_terminal, say

if TYPE_CHECKING:
    from collections.abc import Sequence


def show_outcome(run: orchestrator_pb2.Run, as_json: bool, quiet: bool = False) -> int:
    """Prints how the run ended; returns the exit code: 0 if it completed, 1 otherwise."""
    completed = run.state == orchestrator_pb2.STATE_COMPLETED
    if as_json:
        show_json(run_document(run))
    elif completed:
        show_parts(run.result)
    sys.stdout.flush()  # before what is said on standard error, where both go to the same place
    if not completed and not as_json:
        say(f"error: run {run.run_id} {why(run)}")
        say(f"       See `pentad runs show {run.run_id}`.")
    elif not quiet and not as_json:
        say(summary(run))
    return Exit.OK if completed else Exit.FAILED


def why(run: orchestrator_pb2.Run) -> str:
    """`failed: REASON: message`, `was cancelled`, or how it stands."""
    state = state_name(run.state)
    if run.state == orchestrator_pb2.STATE_CANCELLED:
        return "was cancelled" + (f": {run.error.message}" if run.error.message else "")
    if run.HasField("error"):
        return f"{state}: {run.error.reason}: {run.error.message}"
    return f"is {state}"


def summary(run: orchestrator_pb2.Run) -> str:
    """What it took, what is missing and where it is kept, in a line or two."""
    tokens = run.usage.input_tokens + run.usage.output_tokens
    spent = f", {tokens} tokens" if tokens else ""
    missing = (
        f"\nwarning: the result lacks what these could not give: {', '.join(run.missing)}"
        if run.degraded
        else ""
    )
    attempts, steps = len(run.agent_runs), len({attempt.step for attempt in run.agent_runs})
    again = f" in {attempts} attempts" if attempts > steps else ""
    return (
        f"{steps} step{'s' if steps != 1 else ''}{again}{spent}; kept: pentad runs show {run.run_id}{missing}"
    )


def show_parts(parts: Sequence[common_pb2.Part]) -> None:
    """Prints what came out: Markdown drawn on a terminal, as it is in a pipe; binary as bytes if alone.

    Of a piece that comes as JSON and, under the same name, as Markdown, people get the Markdown.
    """
    worded = {part.name for part in parts if is_markdown(part)}
    parts = [part for part in parts if not (part.name in worded and is_json(content_type(part)))]
    if out_is_terminal():
        _draw(parts)
    elif len(parts) == 1 and _is_binary(parts[0]):
        sys.stdout.buffer.write(parts[0].content.data)
    else:
        print("\n\n".join(part_text(part).rstrip("\n") for part in parts))


def _is_binary(part: common_pb2.Part) -> bool:
    value = part_value(part)
    return part.HasField("content") and isinstance(value, dict) and set(value) == {"content_type", "base64"}


def _draw(parts: Sequence[common_pb2.Part]) -> None:
    from rich.markdown import Markdown

    console = out()
    for part in parts:
        console.print()
        if len(parts) > 1:
            console.rule(part.name or content_type(part), align="left", style="dim")
        text = part_text(part)
        console.print(Markdown(text) if is_markdown(part) else text, markup=False)
