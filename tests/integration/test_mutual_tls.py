"""Services, clients and the host of agents with a certificate each, shown in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad_client import ClientConfig, Pentad, PentadError
from tests.integration.agents_host import hosting, until
from tests.integration.orchestrator_house import finished, house, texts

# Self-signed, for localhost, of no use but here.
FILES = Path(__file__).parents[1] / "unit" / "common" / "tls"
CERT, KEY = str(FILES / "cert.pem"), str(FILES / "key.pem")
CLIENT = {"PENTAD_TLS_CA": CERT, "PENTAD_TLS_CERT": CERT, "PENTAD_TLS_KEY": KEY}


async def test_a_run_over_mutual_tls(sqlite_url: str, tmp_path: Path) -> None:
    """Orchestrator, bus, registry and host find each other where everyone must show a certificate; who shows
    none gets nowhere.
    """
    tls = CLIENT | {"PENTAD_TLS_CLIENT_CA": CERT}
    with house(tmp_path, sqlite_url, tls=tls) as home:
        async with hosting(home, "acme", tmp_path, **CLIENT) as host:
            await host.start()
            host.write("greeter", "return 'hello'")
            await until(lambda: host.live("greeter"))
            run = await finished(host.pentad, (await host.run("greeter")).run_id)
            assert (run.state, texts(run.result)) == (pb.STATE_COMPLETED, ["hello"])
        bare = home.addresses() | {"PENTAD_API_KEY": home.key("acme"), "PENTAD_TLS_CA": CERT}
        async with Pentad(ClientConfig.from_env(bare)) as stranger:
            with pytest.raises(PentadError):
                await stranger.keys.revoke("x")
