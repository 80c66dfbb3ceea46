"""`pentad completion`."""

from __future__ import annotations

import click

from pentad_cli.tree import command

EXAMPLES = """
source <(pentad completion bash)                                      this shell
pentad completion bash > ~/.local/share/bash-completion/completions/pentad
pentad completion zsh > ~/.zfunc/_pentad                              with ~/.zfunc in $fpath
pentad completion fish > ~/.config/fish/completions/pentad.fish
"""


@command("completion", examples=EXAMPLES, short_help="Print what makes a shell complete commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options, agents and runs."""
    from click.shell_completion import get_completion_class

    from pentad_cli.main import root

    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(root, {}, "pentad", "_PENTAD_COMPLETE").source())
