"""No RPC of any service answers without a good key; the RPCs are those of the contracts' descriptors."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import pentad
from pentad.common.v1 import options_pb2
from tests.e2e.conftest import Cli

WELL_FORMED = f"pentad_{'a' * 12}_{'b' * 43}"


@dataclass(frozen=True)
class Rpc:
    """A method of a contract, and the variable that says where its service is."""

    method: MethodDescriptor
    address_name: str

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    def call(self, address: str, key: str | None) -> grpc.RpcError:
        """The error that a call with an empty request ends in."""
        metadata = [("authorization", f"Bearer {key}")] if key is not None else []
        request = GetMessageClass(self.method.input_type)()
        many_in, many_out = self.method.client_streaming, self.method.server_streaming
        kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"
        with grpc.insecure_channel(address) as channel:
            stub = getattr(channel, kind)(
                self.path,
                type(request).SerializeToString,
                GetMessageClass(self.method.output_type).FromString,
            )
            with pytest.raises(grpc.RpcError) as caught:
                answer = stub(iter([request]) if many_in else request, metadata=metadata, timeout=10)
                if many_out:
                    list(answer)
        return caught.value


def contract_rpcs() -> Iterator[Rpc]:
    """Every method of every service in the package `pentad`."""
    for found in pkgutil.walk_packages(pentad.__path__, "pentad."):
        if not found.name.endswith("_pb2"):
            continue
        descriptor: Any = importlib.import_module(found.name).DESCRIPTOR
        for service in descriptor.services_by_name.values():
            area = service.full_name.split(".")[1].upper()
            for method in service.methods:
                yield Rpc(method, f"PENTAD_{area}_ADDRESS")


RPCS = list(contract_rpcs())
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


def refusal(error: Any) -> tuple[grpc.StatusCode, str, str]:
    """The status code, and reason and domain of the error's ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error}"
    assert any(detail.Unpack(info) for detail in status.details), f"no ErrorInfo: {error}"
    return error.code(), info.reason, info.domain


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
    assert refusal(rpc.call(addresses[rpc.address_name], None)) == refused("API_KEY_MISSING")


@every_rpc
@pytest.mark.parametrize("key", ["nonsense", WELL_FORMED, ""])
def test_with_a_wrong_key(rpc: Rpc, key: str, addresses: dict[str, str]) -> None:
    """A call with a key that was never made is refused; an empty one counts as missing."""
    expected = refused("API_KEY_INVALID" if key else "API_KEY_MISSING")
    assert refusal(rpc.call(addresses[rpc.address_name], key)) == expected


@every_rpc
def test_with_the_secret_of_another_key(rpc: Rpc, addresses: dict[str, str]) -> None:
    """The id of a real key with a wrong secret is refused as if the key did not exist."""
    prefix, key_id, secret = addresses["PENTAD_API_KEY"].split("_", 2)
    forged = f"{prefix}_{key_id}_{secret[::-1]}"
    assert refusal(rpc.call(addresses[rpc.address_name], forged)) == refused("API_KEY_INVALID")


@every_rpc
def test_with_a_revoked_key(rpc: Rpc, addresses: dict[str, str], revoked_key: str) -> None:
    """A call with a revoked key is refused with the reason API_KEY_REVOKED."""
    assert refusal(rpc.call(addresses[rpc.address_name], revoked_key)) == refused("API_KEY_REVOKED")
