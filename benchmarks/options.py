"""What benchmarks take on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping


def named(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """An option's type: names of `known`, separated by commas."""

    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return names


def count(text: str) -> int:
    """An option's type: a whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of 1 or more is wanted")
    return int(text)
