"""Addresses: what they may look like, and who may use which."""

from __future__ import annotations

import re
import unicodedata

from pentad_common.call import RESERVED_PREFIX, CallContext, check_agent_name
from pentad_common.errors import InvalidArgument, PermissionDenied
from pentad_context.model import TENANT_SCOPE, Address

_SCOPE = re.compile(r"tenant|runs/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_KEY_CHARACTERS = 512


def check_address(address: Address) -> Address:
    """The address with its default scope. Raises InvalidArgument SCOPE_INVALID, NAMESPACE_INVALID,
    KEY_INVALID.
    """
    if not address.key:
        raise _invalid("KEY_INVALID", "address.key", "must not be empty")
    return check_prefix(address)


def check_prefix(address: Address) -> Address:
    """As `check_address`, for the start of keys, which may be empty."""
    scope = address.scope or TENANT_SCOPE
    if not _SCOPE.fullmatch(scope):
        raise _invalid("SCOPE_INVALID", "address.scope", "must be `tenant` or `runs/<run id>`")
    if address.namespace:
        _check_namespace(address.namespace)
    if any(unicodedata.category(character) == "Cc" for character in address.key):
        raise _invalid("KEY_INVALID", "address.key", "must not contain control characters")
    if len(address.key) > _MOST_KEY_CHARACTERS:
        raise _invalid("KEY_INVALID", "address.key", f"must have at most {_MOST_KEY_CHARACTERS} characters")
    return address._replace(scope=scope)


def _check_namespace(namespace: str) -> None:
    try:
        check_agent_name(namespace.removeprefix(RESERVED_PREFIX))
    except InvalidArgument:
        raise _invalid(
            "NAMESPACE_INVALID", "address.namespace", "must be empty (global) or the name of an agent"
        ) from None


def _invalid(reason: str, field: str, rule: str) -> InvalidArgument:
    return InvalidArgument(reason, f"{field} {rule}", violations=[(field, rule)])


def check_access(call: CallContext, address: Address, *, write: bool = False) -> None:
    """Raises PermissionDenied NAMESPACE_FORBIDDEN unless the caller may read, or write, there.

    The global namespace is everyone's, an agent's is its own; services may do all, admins may read all.
    """
    namespace = address.namespace
    reading_admin = call.role == "admin" and not write
    if not namespace or call.role == "service" or reading_admin or call.agent == namespace:
        return
    if call.agent:
        hint = f"the caller acts as agent {call.agent!r}"
    elif call.role == "agent":
        hint = "the call names no agent; send the metadata `pentad-agent`"
    else:
        hint = f"a key of role {call.role} is no agent"
    raise PermissionDenied(
        "NAMESPACE_FORBIDDEN",
        f"namespace {namespace!r} is for the agent of that name alone, and {hint}",
        namespace=namespace,
    )
