"""The catalog's file changes while the gateway serves."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from pentad_client import PentadError
from pentad_llm_gateway.catalog_watch import stamp
from tests.fixtures.deployments import Deployments, reloads
from tests.fixtures.upstream import Answer, Status


async def until_refused(before: float) -> None:
    """Waits until one more catalog was refused."""
    async with asyncio.timeout(5):
        while reloads("refused") == before:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.05)


async def test_changes_count_for_the_next_call(deployments: Deployments) -> None:
    """Aliases and prices that change are those of calls that begin from then on."""
    first = await deployments.pentad.llm.invoke("hi")
    assert (first.served.provider, first.usage.cost.micros) == ("a", 11 + 2 * 7)
    dear = {"m": {"price": {"input": 10, "output": 20}}}
    providers = deployments.catalog["providers"]
    providers["b"]["models"] = dear
    await deployments.changed(providers=providers, aliases={"pair": "b/m"})
    second = await deployments.pentad.llm.invoke("hi")
    assert (second.served.provider, second.usage.cost.micros) == ("b", 10 * (11 + 2 * 7))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\naliases:\n  pair: nowhere/m\n", ["line 3", "aliases.pair", "is not provider/model"]),
        ("version: 1\nproviders:\n  a: {kind: parrot}\n", ["providers.a", "there is no kind 'parrot'"]),
        (
            "version: 1\nproviders:\n  a:\n    modells: {}\n",
            ["line 4", "providers.a.modells", "no such field"],
        ),
        ("version: 1\nproviders: [\n", ["line 3", "not YAML"]),
        ("version: 1\n", ["PENTAD_LLM_DEFAULT_MODEL", "pair"]),
    ],
)
async def test_a_bad_catalog_is_refused(deployments: Deployments, text: str, told: list[str]) -> None:
    """A catalog that is wrong is refused with line and reason, in log and metrics and for admins; the one
    before serves on, until a right one comes."""
    before = reloads("refused")
    deployments.path.write_text(text)
    await until_refused(before)
    problem = (await deployments.pentad.llm.models()).catalog_problem
    assert all(clue in problem for clue in told), problem
    assert REGISTRY.get_sample_value("pentad_llm_catalog_refused") == 1
    assert (await deployments.pentad.llm.invoke("hi")).served.provider == "a"
    client = await deployments.house.client("client")
    assert (await client.llm.models()).catalog_problem == ""
    await deployments.changed()
    assert (await deployments.pentad.llm.models()).catalog_problem == ""
    assert REGISTRY.get_sample_value("pentad_llm_catalog_refused") == 0


async def test_a_catalog_that_goes_away(deployments: Deployments) -> None:
    """Without its file the gateway serves on by what it read."""
    before = reloads("refused")
    deployments.path.unlink()
    await until_refused(before)
    assert "cannot be read" in (await deployments.pentad.llm.models()).catalog_problem
    assert (await deployments.pentad.llm.invoke("hi")).served.provider == "a"


async def test_calls_under_way_end_as_they_began(deployments: Deployments) -> None:
    """A streamed answer goes on over a change of its provider, which is closed only then; the next call asks
    the new one."""
    deployments.will(Answer("one two three four five six seven eight", pause=0.3))
    stream = deployments.pentad.llm.stream("hi")
    deltas = aiter(stream)
    await anext(deltas)
    providers = deployments.catalog["providers"]
    moved = {"kind": "openai-compatible", "base_url": f"{deployments.b.url}/v1", "models": {"m": {}}}
    await deployments.changed(providers=providers | {"a": moved})
    assert (await deployments.pentad.llm.invoke("hi")).served.provider == "a"
    assert deployments.asked() == (1, 1)
    async for _ in deltas:
        pass
    assert stream.text == "one two three four five six seven eight"


async def test_unchanged_providers_go_on(deployments: Deployments) -> None:
    """A change elsewhere keeps a provider's circuit as it is; a change of its own begins anew."""
    slow: dict[str, Any] = {"failures": 3, "open_seconds": 60}
    await deployments.changed(breaker=slow)
    deployments.will(*[Status(503)] * 3)
    for _ in range(3):
        await deployments.pentad.llm.invoke("hi")
    await deployments.changed(aliases=deployments.catalog["aliases"] | {"new": "b/m"})
    assert (await deployments.pentad.llm.invoke("hi")).served.failed_models[0].reason == "CIRCUIT_OPEN"
    providers = deployments.catalog["providers"]
    providers["a"]["time_limits"] = {"total": 30}
    await deployments.changed(providers=providers)
    assert (await deployments.pentad.llm.invoke("hi")).served.provider == "a"


async def test_kubernetes_swaps_links(tmp_path: Path) -> None:
    """A ConfigMap's volume changes by a link two levels up that leads elsewhere; that is noticed even where
    times and sizes are the same."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.yaml").write_text("version: 1\n")
        os.utime(tmp_path / name / "models.yaml", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "models.yaml").symlink_to("..data/models.yaml")
    before = stamp(str(tmp_path / "models.yaml"))
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert stamp(str(tmp_path / "models.yaml")) != before


async def test_a_mounted_config_map(deployments: Deployments) -> None:
    """The whole way with links as Kubernetes makes them."""
    text = deployments.path.read_text()
    folder = deployments.path.parent
    for name, said in (("..1", text), ("..2", text.replace("model: a/m", "model: b/m"))):
        (folder / name).mkdir()
        (folder / name / "models.yaml").write_text(said)
    before = reloads()
    (folder / "..data").symlink_to("..1")
    deployments.path.unlink()
    deployments.path.symlink_to("..data/models.yaml")
    await asyncio.sleep(1.2)
    assert reloads() == before  # the same text
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").rename(folder / "..data")
    async with asyncio.timeout(5):
        while reloads() == before:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.05)
    assert (await deployments.pentad.llm.invoke("hi")).served.provider == "b"


async def test_keys_of_several_servers(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server has a key of its own, from the variable that the catalog names; without it the server is
    passed over, and the listing says which variable."""
    monkeypatch.setenv("SERVER_A_KEY", "key-of-a")
    providers = deployments.catalog["providers"]
    providers["a"]["api_key_env"] = "SERVER_A_KEY"
    providers["b"]["api_key_env"] = "SERVER_B_KEY"
    await deployments.changed(providers=providers, aliases={"pair": ["b/m"], "both": ["a/m", "b/m"]})
    await deployments.pentad.llm.invoke("hi", model="a/m")
    assert deployments.a.requests[0].headers["authorization"] == "Bearer key-of-a"
    with pytest.raises(PentadError, match="SERVER_B_KEY"):
        await deployments.pentad.llm.invoke("hi", model="b/m")
    for _ in range(6):
        assert (await deployments.pentad.llm.invoke("hi", model="both")).served.provider == "a"
    listed = await deployments.pentad.llm.models("b")
    assert not listed.models[0].available and "SERVER_B_KEY" in listed.models[0].unavailable_reason
