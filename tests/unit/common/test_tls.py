"""TLS: encrypted when a certificate is set, mutual when clients' authority is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentad.registry.v1 import registry_pb2_grpc
from pentad_client import ClientConfig, Pentad, PentadError
from pentad_common.db import Database
from pentad_common.keys import KeyStore
from pentad_common.server import Server
from pentad_common.settings import ServiceSettings
from pentad_registry.key_servicer import KeyServicer
from tests.unit.common.samples import TENANT

# Self-signed, for localhost, of no use but here.
CERT = str(Path(__file__).parent / "tls" / "cert.pem")
KEY = str(Path(__file__).parent / "tls" / "key.pem")


@pytest.mark.parametrize("mutual", [False, True])
async def test_calls_over_tls(local_database: Database, sqlite_url: str, mutual: bool) -> None:
    """A client that knows the authority gets through; one without TLS, or without a certificate where one is
    asked for, does not.
    """
    keys = KeyStore(local_database)
    _, text = await keys.create(TENANT, name="test", role="admin")
    settings = ServiceSettings(
        database_url=sqlite_url, tls_cert=CERT, tls_key=KEY, tls_client_ca=CERT if mutual else None
    )
    server = Server(settings, "sample", local_database)
    server.add(registry_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(keys))
    async with server.running() as address:
        shown = (CERT, KEY) if mutual else ("", "")
        good = ClientConfig(
            api_key=text, registry_address=address, tls_ca=CERT, tls_cert=shown[0], tls_key=shown[1]
        )
        async with Pentad(good) as pentad:
            assert len([key async for key in pentad.keys.list()]) == 1
        plain = ClientConfig(
            api_key=text, registry_address=address, tls_ca=CERT if mutual else "", timeout_seconds=1
        )
        async with Pentad(plain) as pentad:
            with pytest.raises(PentadError):
                await pentad.keys.revoke("x")


async def test_a_certificate_that_is_not_there_is_said() -> None:
    """A path that cannot be read is told with the path, before any call."""
    with pytest.raises(PentadError) as caught:
        _ = Pentad(ClientConfig(tls_ca="/nowhere.pem")).keys
    assert caught.value.reason == "TLS_FILE_UNREADABLE"
