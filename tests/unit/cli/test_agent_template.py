"""The file that `pentad agents new` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentad_agents.check import check
from pentad_cli.agent_template import write_agent
from pentad_cli.failure import CliError


@pytest.mark.parametrize("name", ["translator", "word-counter", "a_b-c"])
def test_is_an_agent_of_that_name(tmp_path: Path, name: str) -> None:
    """What is written can be loaded as it is."""
    path = write_agent(name, tmp_path / "agents")
    [agent] = check(path)["agents"]
    assert agent["name"] == name


def test_replaces_nothing(tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    (tmp_path / "writer.py").write_text("mine")
    with pytest.raises(CliError) as failure:
        write_agent("writer", tmp_path)
    assert failure.value.reason == "FILE_EXISTS"
    assert (tmp_path / "writer.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Writer", "2nd", "a b", "../evil", "pentad.x", "x" * 64])
def test_refuses_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    """Names that the registry would refuse are refused here, before anything is written."""
    with pytest.raises(CliError) as failure:
        write_agent(name, tmp_path)
    assert failure.value.reason == "AGENT_NAME_INVALID"
    assert list(tmp_path.iterdir()) == []
