"""The state directory: where it is, who holds it, and which Pentad a command is for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentad_cli.failure import CliError, UsageProblem
from pentad_cli.instance import VARIABLES, find_target
from pentad_cli.ports import Ports, free_base, is_free, ports_from
from pentad_cli.state import StateDir, StateLock, current_state_dir

ADDRESSES = Ports(20_000).addresses()


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PENTAD_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    folder = StateDir(tmp_path)
    folder.prepare()
    return folder


@pytest.fixture
def running(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDir]:
    """A state directory on which something runs, as far as files tell."""
    lock = StateLock(state)
    state.write_up({"pid": os.getpid(), "addresses": ADDRESSES})
    state.key_file.write_text("pentad_own\n")
    monkeypatch.setenv("PENTAD_STATE_DIR", str(state.path))
    yield state
    lock.release()


def test_default_is_where_xdg_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PENTAD_STATE_DIR, then XDG_STATE_HOME unless it is relative, then the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert current_state_dir().path == tmp_path / ".local" / "state" / "pentad"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert current_state_dir().path == tmp_path / ".local" / "state" / "pentad"
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert current_state_dir().path == Path("/x/pentad")
    monkeypatch.setenv("PENTAD_STATE_DIR", "here")
    assert current_state_dir().path == Path.cwd() / "here"


def test_one_holder_at_a_time(state: StateDir) -> None:
    """A second lock is refused with the first one's pid, and can be had when the first is gone."""
    assert state.holder() is None
    lock = StateLock(state)
    assert state.holder() == os.getpid()
    with pytest.raises(CliError, match=f"already running .*pid {os.getpid()}") as failure:
        StateLock(state)
    assert failure.value.reason == "ALREADY_RUNNING"
    lock.release()
    StateLock(state).release()


@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null/state"])
def test_says_why_a_folder_cannot_be_used(where: str) -> None:
    """A folder that cannot be made is named, with what to do."""
    with pytest.raises(CliError, match=f"{where} cannot be used") as failure:
        StateDir(Path(where)).prepare()
    assert "--state-dir" in failure.value.hint


def test_finds_the_running_one(running: StateDir) -> None:
    """Without anything else, it is the Pentad of the state directory, with the key in its file."""
    target = find_target()
    assert (target.addresses, target.api_key, target.state) == (ADDRESSES, "pentad_own", running)
    assert target.config().llm_address == ADDRESSES["llm"]


def test_a_key_alone_is_used_with_the_running_one(running: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """PENTAD_API_KEY without addresses replaces the key."""
    monkeypatch.setenv("PENTAD_API_KEY", "pentad_other")
    assert (find_target().api_key, find_target().addresses) == ("pentad_other", ADDRESSES)


def test_key_and_addresses_of_the_environment_win(running: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of `pentad env` name another Pentad, but not when some are missing."""
    monkeypatch.setenv("PENTAD_API_KEY", "pentad_other")
    for name, variable in VARIABLES.items():
        monkeypatch.setenv(variable, f"{name}.example:443")
    target = find_target()
    assert target.exports()["PENTAD_LLM_ADDRESS"] == "llm.example:443"
    assert (target.api_key, target.state) == ("pentad_other", None)
    monkeypatch.delenv("PENTAD_LLM_ADDRESS")
    with pytest.raises(UsageProblem, match="PENTAD_LLM_ADDRESS"):
        find_target()


def test_says_when_nothing_runs(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed Pentad left in its state directory counts for nothing."""
    state.write_up({"pid": 1, "addresses": ADDRESSES})
    monkeypatch.setenv("PENTAD_STATE_DIR", str(state.path))
    with pytest.raises(UsageProblem, match="no Pentad is running") as failure:
        find_target()
    assert "pentad up --detach" in failure.value.hint


def test_names_the_port_that_is_taken() -> None:
    """The first port in use is named with what it is for and how to choose others."""
    import socket

    ports = ports_from(free_base())
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.service("context")))
        other.listen(1)
        assert not is_free(ports.service("context"))
        with pytest.raises(CliError, match=rf"port {ports.service('context')} \(context\)") as failure:
            ports_from(ports.base)
    assert "--port-base" in failure.value.hint


@pytest.mark.parametrize("base", [-1, 80, 70_000])
def test_refuses_impossible_ports(base: int) -> None:
    """A base outside of what can be is a matter of usage."""
    with pytest.raises(UsageProblem):
        ports_from(base)
