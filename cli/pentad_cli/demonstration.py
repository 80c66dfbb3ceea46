"""What `pentad demo` does: a Pentad of its own, three runs on files that ship with it, and an end."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pentad_cli.artifacts import fetched
from pentad_cli.detached import start_detached, stop_running
from pentad_cli.execution import Execution, execute
from pentad_cli.failure import CliError, Exit
from pentad_cli.files import check_files
from pentad_cli.instance import Target
from pentad_cli.outcome import show_outcome
from pentad_cli.parts import part_text
from pentad_cli.processes import shipped_agents
from pentad_cli.run_request import RunOptions, build_request
from pentad_cli.state import StateDir, already_running
from pentad_cli.terminal import say
from pentad_client import Pentad
from pentad_client.errors import PentadError


@dataclass(frozen=True)
class Scene:
    """One run of the demonstration."""

    instruction: str
    file: str
    strategy: str
    agents: Sequence[str] = ()
    aggregator: str = ""

    def command(self, examples: Path) -> str:
        """What a person would type."""
        file = os.path.relpath(examples / self.file)
        words = ["pentad", "run", self.instruction, "--file", file, "--strategy", self.strategy]
        words += ["--agents", ",".join(self.agents)] if self.agents else []
        words += ["--aggregator", self.aggregator] if self.aggregator else []
        return shlex.join(words)


SCENES = (
    Scene(
        "What stands out in these measurements?",
        "measurements.csv",
        "sequential",
        ("profiler", "analyst", "writer"),
    ),
    Scene("Brief me on this", "report.md", "parallel", ("summarizer", "critic"), "writer"),
    Scene("Deal with this", "inquiry.txt", "adaptive"),
)


def demonstrate(state: StateDir) -> int:
    """Runs all scenes on a Pentad that is started for them and stopped after; returns the exit code."""
    agents, examples = _shipped()
    state.prepare()
    pid = state.holder()
    if pid is not None:
        raise already_running(state, pid)
    say(f"Starting Pentad on free ports; its state is in {state.path}")
    up = start_detached(state, 0, agents, tied=True)
    try:
        say(f"Pentad is up after {up['ready_seconds']:.1f} s: five services and the host of the agents.")
        key = state.read_key()
        assert key is not None, "a Pentad that is up has its key file"
        code = asyncio.run(_play(Target(up["addresses"], key, state), examples, state))
    finally:
        say("Stopping Pentad")
        stop_running(state)
    if code != Exit.INTERRUPTED:
        _tell_how_to_go_on(state)
    return code


async def _play(target: Target, examples: Path, state: StateDir) -> int:
    worst = int(Exit.OK)
    async with Pentad(target.config()) as pentad:
        for number, scene in enumerate(SCENES, 1):
            print(f"\n{number}. $ {scene.command(examples)}\n", flush=True)
            code = await _play_scene(pentad, target, scene, examples, state)
            if code == Exit.INTERRUPTED:
                return code
            worst = max(worst, code)
    return worst


async def _play_scene(pentad: Pentad, target: Target, scene: Scene, examples: Path, state: StateDir) -> int:
    options = RunOptions(scene.instruction, scene.strategy, agents=scene.agents, aggregator=scene.aggregator)
    files = check_files([str(examples / scene.file)])
    execution = Execution(build_request(options), files, options.named_agents())
    try:
        run, interrupted = await execute(pentad, target, execution)
    except PentadError as error:
        say(f"error: {error}")
        return Exit.FAILED
    if interrupted:
        return Exit.INTERRUPTED
    run = await fetched(pentad, run)
    code = show_outcome(run, as_json=False)
    _keep(state, scene.strategy, "\n\n".join(part_text(part) for part in run.result))
    return code


def _keep(state: StateDir, name: str, text: str) -> None:
    folder = state.path / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")


def _shipped() -> tuple[Path, Path]:
    agents = shipped_agents()
    examples = agents.parent / "examples" if agents else None
    if agents is None or examples is None or not examples.is_dir():
        raise CliError(
            "NO_EXAMPLES",
            "the demo's agents and files come with a checkout of Pentad, and this is none",
            "Start Pentad with `pentad up --detach`, and write an agent with `pentad agents new`.",
        )
    return agents, examples


def _tell_how_to_go_on(state: StateDir) -> None:
    folder = shlex.quote(str(state.path))
    print(
        f"""
Results  {state.path / "results"}
Runs     kept in {state.path}, with every message and attempt. To look at them:
           export PENTAD_STATE_DIR={folder}
           pentad up --detach
           pentad runs list
           pentad runs show last
           pentad messages --run last
           pentad down
Go on    pentad run "What is this?" --file YOUR_FILE      on a file of yours
         pentad agents new translator                     an agent of yours"""
    )
