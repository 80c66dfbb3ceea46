"""The distribution declares what its packages use, and its pinned files are whole."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = packages_distributions()
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
# The extra that an image with this package installs; what is not named here is for clients and needs none.
EXTRAS = {
    "pentad_common": "common,otel",
    "pentad_bus": "bus",
    "pentad_registry": "registry",
    "pentad_context": "context",
    "pentad_orchestrator": "orchestrator",
    "pentad_llm_gateway": "llm-gateway",
    "pentad_agents": "agents",
    "pentad_cli": "cli",
}
OWN = {Path(package).name for package in PACKAGES}


def canonical(requirement: str) -> str:
    """The name in a requirement, as indexes compare it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared(extra: str | None) -> set[str]:
    """Distributions that an installation with `extra` asks for, those of `pentad[…]` within it too."""
    project = PYPROJECT["project"]
    names = {canonical(item) for item in project["dependencies"]}
    extras = extra.split(",") if extra else []
    for item in (item for one in extras for item in project["optional-dependencies"][one]):
        nested = re.match(r"pentad\[([a-z,-]+)\]", item)
        names |= set().union(*map(declared, nested[1].split(","))) if nested else {canonical(item)}
    return names


def imports(package: Path) -> Iterator[tuple[Path, str]]:
    """Every module from elsewhere that a package's files import, also inside functions."""
    for path in package.rglob("*.py"):
        if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module


def providers(module: str) -> set[str]:
    """Distributions that install `module`; for a namespace shared by several (google.…) all of them."""
    return {canonical(name) for name in INSTALLED.get(module.split(".")[0], [])}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: Path(path).name)
def test_package_declares_what_it_imports(package: str) -> None:
    """An image with one service's extra has every distribution that the service imports."""
    allowed = declared(EXTRAS.get(Path(package).name))
    for path, module in imports(ROOT / package):
        if module.split(".")[0] in sys.stdlib_module_names | OWN:
            continue
        assert providers(module) & allowed, f"{path.relative_to(ROOT)} imports {module}: not in its extra"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: Path(path).name)
def test_package_is_typed(package: str) -> None:
    """Type checkers of our users see our annotations."""
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_host(path: Path) -> None:
    """What is installed is what was locked, from whichever index."""
    text = path.read_text()
    pins = [block for block in re.split(r"\n(?=\S)", text) if re.match(r"[a-z0-9]", block)]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_development_runs_on_the_pins_of_production() -> None:
    """dev.txt holds every pin of runtime.txt, so that what is tested is what is shipped."""
    runtime, dev = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / "requirements" / name).read_text(), re.M))
        for name in ("runtime.txt", "dev.txt")
    )
    assert runtime <= dev
