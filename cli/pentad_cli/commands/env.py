"""`pentad env`."""

from __future__ import annotations

import shlex

import click

from pentad_cli.tree import command

EXAMPLES = """
eval "$(pentad env)"
pentad env --json > pentad.json
"""


@command("env", examples=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the same names.")
def env(as_json: bool) -> None:
    """Print what a client in any language needs, as shell exports.

    PENTAD_API_KEY goes into the metadata of every call as `authorization: Bearer KEY`; the addresses are
    host:port. The key is that of an admin: make a lesser one for programs with `pentad keys create`.
    """
    from pentad_cli.instance import find_target
    from pentad_cli.table import show_json

    exports = find_target().exports()
    if as_json:
        show_json(exports)
        return
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")
