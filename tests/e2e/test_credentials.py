"""No RPC of any service answers without a good key; the RPCs are those of the contracts' descriptors."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from pentad.common.v1 import options_pb2
from tests.e2e.conftest import Cli
from tests.fixtures.rpcs import RPCS, Rpc

WELL_FORMED = f"pentad_{'a' * 12}_{'b' * 43}"
every_rpc = pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)


@pytest.fixture(scope="module")
def addresses(pentad: Cli) -> dict[str, str]:
    """What `pentad env` prints."""
    found: dict[str, str] = pentad.json("env")
    return found


@pytest.fixture(scope="module")
def revoked_key(pentad: Cli) -> str:
    """A key that was good and was revoked; the command returns when that is so everywhere."""
    made = pentad.json("keys", "create", "gone", "--role", "admin")
    pentad("keys", "revoke", made["key_id"])
    return str(made["secret"])


def refusal(rpc: Rpc, addresses: dict[str, str], key: str | None) -> tuple[grpc.StatusCode, str, str]:
    """The status code, and reason and domain of the ErrorInfo, that a call with an empty request ends in."""
    with grpc.insecure_channel(addresses[rpc.address_name]) as channel:
        answer = rpc.call(channel, key, [rpc.request()])
    return answer.code, answer.reason, answer.domain


def refused(reason: str) -> tuple[grpc.StatusCode, str, str]:
    return grpc.StatusCode.UNAUTHENTICATED, reason, "pentad.dev"


def test_the_contracts_have_all_services() -> None:
    """The sweep below finds the services, so that it cannot pass by finding nothing."""
    services = {rpc.method.containing_service.name for rpc in RPCS}
    for name in ("Bus", "Registry", "Key", "Context", "Orchestrator", "LlmGateway"):
        assert f"{name}Service" in services
    assert len(RPCS) >= 50


@every_rpc
def test_every_method_says_who_may_call_it(rpc: Rpc) -> None:
    """Each method names its roles in the contract; admins may call all."""
    options: Any = rpc.method.GetOptions()
    allowed = options.Extensions[options_pb2.allow]
    assert options_pb2.ROLE_ADMIN in allowed


@every_rpc
def test_without_a_key(rpc: Rpc, addresses: dict[str, str]) -> None:
    """A call without a key is refused with the reason API_KEY_MISSING."""
    assert refusal(rpc, addresses, None) == refused("API_KEY_MISSING")


@every_rpc
@pytest.mark.parametrize("key", ["nonsense", WELL_FORMED, ""])
def test_with_a_wrong_key(rpc: Rpc, key: str, addresses: dict[str, str]) -> None:
    """A call with a key that was never made is refused; an empty one counts as missing."""
    expected = refused("API_KEY_INVALID" if key else "API_KEY_MISSING")
    assert refusal(rpc, addresses, key) == expected


@every_rpc
def test_with_the_secret_of_another_key(rpc: Rpc, addresses: dict[str, str]) -> None:
    """The id of a real key with a wrong secret is refused as if the key did not exist."""
    prefix, key_id, secret = addresses["PENTAD_API_KEY"].split("_", 2)
    forged = f"{prefix}_{key_id}_{secret[::-1]}"
    assert refusal(rpc, addresses, forged) == refused("API_KEY_INVALID")


@every_rpc
def test_with_a_revoked_key(rpc: Rpc, addresses: dict[str, str], revoked_key: str) -> None:
    """A call with a revoked key is refused with the reason API_KEY_REVOKED."""
    assert refusal(rpc, addresses, revoked_key) == refused("API_KEY_REVOKED")


def test_tenants_are_made_beside_the_database(pentad: Cli) -> None:
    """A new tenant's first key makes its others, and sees nothing of anyone else's; ids are taken once."""
    made = pentad.json("tenants", "create", "acme", "--name", "Acme Inc")
    assert [one["name"] for one in pentad.json("tenants", "list")] == ["default", "Acme Inc"]
    assert "is a tenant 'acme' already" in pentad("tenants", "create", "acme", code=1).stderr
    assert "cannot be a tenant" in pentad("tenants", "create", "Acme_1", code=1).stderr
    acme = Cli(pentad.state, {"PENTAD_API_KEY": made["admin_key"]})
    pentad("messages", "send", "--topic", "apart", "hello")
    assert pentad.json("messages")
    assert (acme.json("messages"), acme.json("agents", "list")["agents"], acme.json("runs", "list")) == (
        [],
        [],
        [],
    )
    theirs = acme.json("keys", "create", "theirs")
    assert [key["name"] for key in acme.json("keys", "list")] == ["theirs", "first"]
    assert theirs["key_id"] not in {key["key_id"] for key in pentad.json("keys", "list")}
