"""The names of instances."""

from __future__ import annotations

import re

from pentad_common.errors import InvalidArgument
from pentad_common.ids import new_id

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def instance_name(asked: str) -> str:
    """The name itself, or a new one if it is empty. Raises InvalidArgument INSTANCE_INVALID."""
    name = asked or new_id()[-12:]
    if not _INSTANCE.fullmatch(name):
        raise InvalidArgument(
            "INSTANCE_INVALID",
            f"{name!r} is not an instance name: letters, digits, '.', '_' and '-', at most 63",
            violations=[("hello.instance", "must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}")],
        )
    return name
