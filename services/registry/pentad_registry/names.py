"""What instances and labels may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pentad_common.errors import InvalidArgument

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
_MOST_LABEL_CHARACTERS = 256


def check_instance(name: str) -> None:
    """Raises InvalidArgument INSTANCE_NAME_INVALID. No `/`: on the bus it parts agent and instance."""
    if not _INSTANCE.fullmatch(name):
        raise InvalidArgument(
            "INSTANCE_NAME_INVALID",
            f"{name!r} is not an instance name: a letter or digit, then up to 63 letters, digits and '._:@-'",
            violations=[("instance", f"must match ^{_INSTANCE.pattern}$")],
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises InvalidArgument LABELS_INVALID if a key is empty, or a key or value is very long."""
    for key, value in labels.items():
        if not key or len(key) > _MOST_LABEL_CHARACTERS or len(value) > _MOST_LABEL_CHARACTERS:
            raise InvalidArgument(
                "LABELS_INVALID",
                f"a label has a key; key and value have at most {_MOST_LABEL_CHARACTERS} characters each",
                violations=[("labels", f"{key[:64]!r} is too long, or empty")],
            )
