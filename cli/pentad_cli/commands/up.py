"""`pentad up`."""

from __future__ import annotations

import os
from typing import Any

import click

from pentad_cli.openai_hint import openai_hint
from pentad_cli.ports import DEFAULT_BASE
from pentad_cli.state import StateDir, already_running, current_state_dir
from pentad_cli.tree import command

EXAMPLES = """
pentad up                                           stay here, show what runs; Ctrl-C stops it
pentad up --detach                                  come back when it is ready
pentad up --agents-dir ~/my-agents
pentad up --state-dir /tmp/second --port-base 7500  a second one beside the first
"""


@command("up", examples=EXAMPLES, short_help="Start the services and the host of the agents.")
@click.option(
    "--port-base",
    type=int,
    default=DEFAULT_BASE,
    show_default=True,
    metavar="PORT",
    help="What listens takes PORT+1 to PORT+6, metrics PORT+11 to PORT+15, OpenAI's interface PORT+25; "
    "0 takes free ones.",
)
@click.option(
    "--agents-dir",
    metavar="DIR",
    help="Folder of agents, one or more a file. [default: ./agents, or the shipped ones]",
)
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready; stop it with `pentad down`.")
def up(port_base: int, agents_dir: str | None, detach: bool) -> None:
    """Start Pentad: its five services and the host of the agents, each a process of its own.

    Processes that die are started again. Everything is kept in the state directory: data, logs, and the key
    with which the other commands find this Pentad. Nothing listens beyond this machine.
    """
    from pentad_cli.processes import agents_folder

    os.umask(0o077)  # data and logs are the user's alone, even in a state directory that others may enter
    state = current_state_dir()
    state.prepare()
    folder = agents_folder(agents_dir, state)
    pid = state.holder()
    if pid is not None:
        raise already_running(state, pid)
    if detach:
        from pentad_cli.detached import start_detached

        _tell(state, start_detached(state, port_base, folder))
        return
    import asyncio

    from pentad_cli.serve import serve
    from pentad_cli.terminal import is_live, out_is_terminal

    asyncio.run(serve(state, port_base, folder, is_live(out_is_terminal())))


def _tell(state: StateDir, up: dict[str, Any]) -> None:
    print(f"Pentad is up (pid {up['pid']}) after {up['ready_seconds']:.1f} s.")
    print(f"  state   {state.path}")
    print(f"  agents  {up['agents_dir']}")
    for name, address in up["addresses"].items():
        print(f"  {name:<12} {address}")
    if "openai_base_url" in up:
        print("For programs that speak OpenAI's interface:")
        print(f"  {openai_hint(state, up['openai_base_url'])}")
    print('Run something with `pentad run "…" --file FILE`; stop it with `pentad down`.')
