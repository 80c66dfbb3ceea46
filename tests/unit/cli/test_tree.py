"""The tree of commands: help everywhere, fast; mistakes in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pentad_cli.main import main, root


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, by its words."""

    def below(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield (*words, name)
            if isinstance(found, click.Group):
                yield from below(found, (*words, name))

    yield from below(root, ())


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help_with_examples(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command says what it does, and shows how it is called."""
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"pentad {words[0]}" in text.partition("Examples:")[2]
    assert "--state-dir" in text


def test_help_loads_nothing_heavy() -> None:
    """The help comes without gRPC and rich, so that it comes at once."""
    code = (
        "import sys; from pentad_cli.main import main; main(['--help']);"
        "print([name for name in ('grpc', 'rich', 'google.protobuf', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["up", "--port-base", "x"],
        ["runs", "show"],
        ["keys", "create", "x", "--role", "king"],
    ],
)
def test_mistakes_are_one_error_with_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong call prints one error on standard error, nothing on standard output, and exits with 2."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [[], ["runs"], ["--help"], ["-h"]])
def test_help_comes_without_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A group without a command shows its help."""
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: pentad")


def test_errors_are_json_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the error is one JSON object with a reason."""
    assert main(["runs", "list", "--json", "--state-dir", str(tmp_path)]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["reason"] == "NOT_RUNNING"
    assert str(tmp_path) in error["message"]


def test_a_reader_that_leaves_is_no_error() -> None:
    """`pentad … | head -1` ends without a word."""
    command = f"{sys.executable} -m pentad_cli completion bash | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
