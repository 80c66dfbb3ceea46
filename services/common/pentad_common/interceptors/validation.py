"""Validation: every request message is held against the rules in its contract before a handler sees it."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any

from protovalidate import Validator

from pentad_common.errors import InvalidArgument
from pentad_common.interceptors.chain import Interceptor, Malformed, Rpc
from pentad_common.well_formed import flaws

_MOST_VIOLATIONS = 20


class Validation(Interceptor):
    """Checks by protovalidate, each message of a stream too.

    `hand_checked`: full names (`/package.Service/Method`) of hot paths that hold their messages against the
    rules themselves; of these only malformed bytes are refused here.
    """

    def __init__(self, hand_checked: Collection[str] = ()) -> None:
        self._hand_checked = frozenset(hand_checked)
        self._validator = Validator()

    def check(self, rpc: Rpc, request: Any) -> None:
        """Raises InvalidArgument MALFORMED_MESSAGE or INVALID_REQUEST with the fields at fault."""
        if isinstance(request, Malformed):
            raise InvalidArgument(
                "MALFORMED_MESSAGE",
                "the request's bytes are not a message of its type",
                detail=request.reason,
            )
        if rpc.method in self._hand_checked or not rpc.method.startswith("/pentad."):
            return
        violations = self._validator.collect_violations(request)
        if violations:
            raise _refusal([_explain(item.proto) for item in violations[:_MOST_VIOLATIONS]])
        if found := list(islice(flaws(request), _MOST_VIOLATIONS)):
            raise _refusal(found)


def _refusal(violations: list[tuple[str, str]]) -> InvalidArgument:
    field, rule = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(
        "INVALID_REQUEST", f"{field or 'the request'}: {rule}{more}", field=field, violations=violations
    )


def _explain(violation: Any) -> tuple[str, str]:
    return path_text(violation.field.elements), violation.message or violation.rule_id


def path_text(elements: Any) -> str:
    """A field path as people write it: `card.skills[2].name`, `headers["x"]`."""
    text = ""
    for element in elements:
        text += ("." if text else "") + (element.field_name or "")
        text += _subscript(element)
    return text


def _subscript(element: Any) -> str:
    subscript = element.subscript
    if subscript is None:
        return ""
    value = subscript.value
    return f'["{value}"]' if isinstance(value, str) else f"[{value}]"
