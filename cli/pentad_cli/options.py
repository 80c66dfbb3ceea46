"""Options and kinds of arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from pentad_cli.units import parse_span


class Span(click.ParamType[timedelta]):
    """A span of time such as `90s`, `5m`, `1h30m`, `7d`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Fails with what can be written."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Pair(click.ParamType[tuple[str, str]]):
    """`key=value`."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Fails without a `=` or a key."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not of the form key=value", param, ctx)
        return key, rest


class Names(click.ParamType[list[str]]):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Fails where nothing stands between two commas."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")] if value.strip() else []
        if not all(names):
            self.fail(f"{value!r} has an empty name in it; write a,b,c", param, ctx)
        return names


SPAN = Span()
PAIR = Pair()
NAMES = Names()


def json_option(text: str = "One JSON document.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def limit_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--limit`, as the argument `limit`; 0 means all."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        metavar="N",
        help="At most this many; 0 for all.",
    )
