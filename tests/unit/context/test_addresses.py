"""Addresses: their form, and whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.call import CallContext, Role
from pentad_common.errors import InvalidArgument, PermissionDenied
from pentad_context.addresses import check_access, check_address, check_prefix
from pentad_context.model import Address
from pentad_context.store.rows import after_prefix


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (Address("", "", ""), "KEY_INVALID"),
        (Address("", "", "a\nb"), "KEY_INVALID"),
        (Address("", "", "a\x00"), "KEY_INVALID"),
        (Address("", "", "a\x85"), "KEY_INVALID"),
        (Address("", "", "x" * 513), "KEY_INVALID"),
        (Address("runs", "", "a"), "SCOPE_INVALID"),
        (Address("runs/", "", "a"), "SCOPE_INVALID"),
        (Address("runs/a/b", "", "a"), "SCOPE_INVALID"),
        (Address("Tenant", "", "a"), "SCOPE_INVALID"),
        (Address("", "No Agent", "a"), "NAMESPACE_INVALID"),
    ],
)
def test_refused(address: Address, reason: str) -> None:
    """A wrong address says which part of it is wrong."""
    with pytest.raises(InvalidArgument) as caught:
        check_address(address)
    assert caught.value.reason == reason
    assert caught.value.violations


def test_taken() -> None:
    """The scope is `tenant` unless said; keys are free text; a prefix may be empty."""
    assert check_address(Address("", "", "a b/ü/🙂")) == Address("tenant", "", "a b/ü/🙂")
    assert check_address(Address("runs/r-1", "pentad.orchestrator", "k")).scope == "runs/r-1"
    assert check_prefix(Address("", "writer", "")).key == ""


def caller(role: Role, agent: str | None = None) -> CallContext:
    """A caller of a role, acting as an agent."""
    return CallContext(tenant_id="t", key_id="k", role=role, agent=agent)


@pytest.mark.parametrize(
    ("call", "namespace", "reads", "writes"),
    [
        (caller("client"), "", True, True),
        (caller("agent", "writer"), "", True, True),
        (caller("agent", "writer"), "writer", True, True),
        (caller("agent", "critic"), "writer", False, False),
        (caller("agent"), "writer", False, False),
        (caller("client"), "writer", False, False),
        (caller("admin"), "writer", True, False),
        (caller("service"), "writer", True, True),
    ],
)
def test_access(call: CallContext, namespace: str, reads: bool, writes: bool) -> None:
    """Global is everyone's, an agent's is its own, admins may look, services may do all."""
    for write, allowed in ((False, reads), (True, writes)):
        if allowed:
            check_access(call, Address("tenant", namespace, "k"), write=write)
            continue
        with pytest.raises(PermissionDenied) as caught:
            check_access(call, Address("tenant", namespace, "k"), write=write)
        assert caught.value.reason == "NAMESPACE_FORBIDDEN"


@given(st.text(min_size=1), st.text(), st.text())
def test_prefix_as_range(prefix: str, rest: str, other: str) -> None:
    """What starts with a prefix lies between it and the text after it, and nothing else does."""
    end = after_prefix(prefix)
    for key in (prefix + rest, other):
        inside = prefix <= key and (end is None or key < end)
        assert inside == key.startswith(prefix)
