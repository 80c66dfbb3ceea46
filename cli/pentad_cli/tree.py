"""The tree of commands: groups that load a command when it is called, and what all commands share."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

STATE_DIR_KEY = "pentad.state_dir"


def chosen_state_dir() -> str | None:
    """The `--state-dir` of the command line at hand; None without one."""
    context = click.get_current_context(silent=True)
    value = context.meta.get(STATE_DIR_KEY) if context else None
    return str(value) if value else None


def _remember_state_dir(context: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        context.meta[STATE_DIR_KEY] = value


def _state_dir_option() -> click.Option:
    return click.Option(
        ["--state-dir"],
        metavar="DIR",
        expose_value=False,
        callback=_remember_state_dir,
        help="Folder of the Pentad to use. [default: $PENTAD_STATE_DIR, or ~/.local/state/pentad]",
        type=click.Path(file_okay=False),
    )


class _Examples:
    """Adds `--state-dir`, and a section of examples to the help."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        settings = kwargs.setdefault("context_settings", {})
        settings.update(help_option_names=["-h", "--help"], max_content_width=110)
        super().__init__(*args, **kwargs)
        self.examples = textwrap.dedent(examples).strip("\n")
        self.params.append(_state_dir_option())  # type: ignore[attr-defined]

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples as they are, unwrapped."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"{' ' * formatter.current_indent}{line}\n" if line else "\n")


class Command(_Examples, click.Command):
    """A command with examples."""


class Group(_Examples, click.Group):
    """A group with examples; its commands are `Command`s."""

    command_class = Command


class LazyGroup(Group):
    """A group whose commands are imported when they are called, or when its help is printed."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, context: click.Context) -> list[str]:
        """All commands, in the order in which they were declared."""
        return [*self._modules, *super().list_commands(context)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if name not in self._modules:
            return super().get_command(context, name)
        module, _, attribute = self._modules[name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def command(name: str, *, examples: str = "", **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command with examples."""
    return click.command(name, cls=Command, examples=examples, **kwargs)


def group(name: str, *, examples: str = "", **kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Makes a function a group with examples."""
    return click.group(name, cls=Group, examples=examples, **kwargs)
