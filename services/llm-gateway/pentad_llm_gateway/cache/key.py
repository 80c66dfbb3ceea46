"""Under which key an answer is kept: the same for requests that ask the same, and never for two tenants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

_VERSION = 1
"""To be raised when answers are kept in another form, or requests mean something else."""


def cache_key(tenant: str, meaning: Sequence[str], request: Any) -> bytes:
    """The key of a request, a dataclass of plain values. The order of fields in schemas and extras is of no
    account. `meaning`: the models that its name stands for now, so that an alias that is given to another
    model does not answer with the words of the one before it.

    The tenant is in it in clear, as a hash tag for Redis; the request is not.
    """
    text = json.dumps(
        [_VERSION, type(request).__name__, sorted(meaning), request],
        default=_plain,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return f"{{{tenant}}}:cache:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}".encode()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return [type(value).__name__, {item.name: getattr(value, item.name) for item in fields(value)}]
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    return dict(value)
