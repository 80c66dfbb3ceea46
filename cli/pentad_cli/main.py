"""`pentad`: the root of the command tree, and how every command ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from pentad_cli.failure import CliError, Exit
from pentad_cli.tree import LazyGroup

_COMMANDS = "pentad_cli.commands"
MODULES = {
    "demo": f"{_COMMANDS}.demo:demo",
    "up": f"{_COMMANDS}.up:up",
    "down": f"{_COMMANDS}.down:down",
    "status": f"{_COMMANDS}.status:status",
    "run": f"{_COMMANDS}.run:run",
    "runs": f"{_COMMANDS}.runs:runs",
    "agents": f"{_COMMANDS}.agents:agents",
    "messages": f"{_COMMANDS}.messages:messages",
    "context": f"{_COMMANDS}.context:context",
    "llm": f"{_COMMANDS}.llm:llm",
    "keys": f"{_COMMANDS}.keys:keys",
    "tenants": f"{_COMMANDS}.tenants:tenants",
    "env": f"{_COMMANDS}.env:env",
    "completion": f"{_COMMANDS}.completion:completion",
    "version": f"{_COMMANDS}.version:version",
}

EXAMPLES = """
pentad up --detach
pentad run "What stands out in these measurements?" --file data.csv --agents profiler,analyst,writer
pentad runs list
pentad down
"""


def _show_version(context: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from pentad_cli.commands.version import version

        context.invoke(version)
        context.exit()


@click.group("pentad", cls=LazyGroup, modules=MODULES, examples=EXAMPLES)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Print the version.",
)
def root() -> None:
    """Run AI agents that find each other, talk, share state and finish work together.

    Commands talk to the Pentad whose state is in --state-dir. Where PENTAD_API_KEY and the PENTAD_*_ADDRESS
    variables are set (see `pentad env`), they talk to that one instead, unless --state-dir is given.

    Exit codes: 0 done, 1 failed, 2 called in a way that cannot work, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code. Prints one line instead of a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault(
        "GRPC_VERBOSITY", "NONE"
    )  # what it would print on lost connections is told by errors
    try:
        result = root.main(args=list(arguments), prog_name="pentad", standalone_mode=False)
        sys.stdout.flush()
        return int(result or Exit.OK)
    except BrokenPipeError:
        return _reader_left()
    except click.exceptions.NoArgsIsHelpError as helped:
        print(helped.format_message())
        return Exit.OK
    except (KeyboardInterrupt, click.exceptions.Abort):
        return Exit.INTERRUPTED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except Exception as error:
        return _report(error, as_json="--json" in arguments)


def _reader_left() -> int:
    """Whoever read our output has gone (`pentad … | head`): no word, and the exit code usual for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _report(error: Exception, as_json: bool) -> int:
    known = _as_cli_error(error)
    if known is None:
        if os.environ.get("PENTAD_DEBUG"):
            raise error
        known = CliError(
            "INTERNAL",
            f"this should not happen: {type(error).__name__}: {error}",
            "Set PENTAD_DEBUG=1 to see where, and please report it.",
        )
    print(known.json() if as_json else known.text(), file=sys.stderr)
    return known.code


def _as_cli_error(error: Exception) -> CliError | None:
    """The error as the command line tells it; None for a fault of the program."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, click.ClickException):
        return _from_click(error)
    if "pentad_client.errors" in sys.modules:
        from pentad_cli.service_error import from_service

        return from_service(error)
    return None


def _from_click(error: click.ClickException) -> CliError:
    context = getattr(error, "ctx", None)
    hint = f"See `{context.command_path} --help`." if context else ""
    return CliError("BAD_USAGE", _sentence(error.format_message()), hint, error.exit_code)


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
