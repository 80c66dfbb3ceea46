"""Joins the options of `pentad run` to its execution and outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pentad_cli.artifacts import fetched
from pentad_cli.execution import Execution, execute
from pentad_cli.failure import Exit
from pentad_cli.files import check_files
from pentad_cli.instance import find_target
from pentad_cli.outcome import show_outcome
from pentad_cli.run_document import run_document
from pentad_cli.run_request import RunOptions, build_request
from pentad_cli.table import show_json
from pentad_client import Pentad


def start_run(given: Mapping[str, Any]) -> int:
    """Starts a run from the command's arguments; returns the exit code."""
    options = _options(given)
    request = build_request(options)
    files = check_files(given["files"])
    target = find_target()
    execution = Execution(request, files, options.named_agents(), given["detach"], given["quiet"])

    async def main() -> int:
        async with Pentad(target.config()) as pentad:
            run, interrupted = await execute(pentad, target, execution)
            if execution.detach:
                show_json(run_document(run)) if given["as_json"] else print(run.run_id)
                return Exit.OK
            code = show_outcome(await fetched(pentad, run), given["as_json"], given["quiet"])
            return Exit.INTERRUPTED if interrupted else code

    return asyncio.run(main())


def _options(given: Mapping[str, Any]) -> RunOptions:
    return RunOptions(
        instruction=given["instruction"],
        strategy=given["strategy"] or "",
        agents=given["agents"],
        aggregator=given["aggregator"],
        candidates=given["candidates"],
        first=given["first"],
        router=given["router"],
        rules=given["rules"],
        max_steps=given["max_steps"],
        timeout=given["timeout"],
        step_timeout=given["step_timeout"],
        attempts=given["attempts"] or 0,
        on_failure=given["on_failure"] or "",
        min_successes=given["min_successes"],
        parameters=dict(given["parameters"]),
        labels=dict(given["labels"]),
        project=given["project"],
    )
