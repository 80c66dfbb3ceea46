"""Which Pentad a command talks to: one that the environment names, or the one of the state directory."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pentad_cli.failure import UsageProblem
from pentad_cli.ports import SERVICES
from pentad_cli.state import StateDir, current_state_dir
from pentad_cli.tree import chosen_state_dir

if TYPE_CHECKING:
    from pentad_client import ClientConfig

API_KEY = "PENTAD_API_KEY"
VARIABLES = {name: f"PENTAD_{name.upper()}_ADDRESS" for name in SERVICES}


@dataclass(frozen=True)
class Target:
    """A Pentad: its addresses by service, and the key to use."""

    addresses: dict[str, str]
    api_key: str = field(repr=False)
    state: StateDir | None = None
    """Its state directory, if it is one of this machine's."""

    def exports(self) -> dict[str, str]:
        """What a client in any language needs, by the names of environment variables."""
        return {API_KEY: self.api_key} | {VARIABLES[name]: self.addresses[name] for name in SERVICES}

    def config(self) -> ClientConfig:
        """For `pentad_client`. TLS files come from the environment; the Pentad of this machine has none."""
        from dataclasses import replace

        from pentad_client import ClientConfig

        return replace(
            ClientConfig() if self.state else ClientConfig.from_env(),
            api_key=self.api_key,
            bus_address=self.addresses["bus"],
            registry_address=self.addresses["registry"],
            context_address=self.addresses["context"],
            orchestrator_address=self.addresses["orchestrator"],
            llm_address=self.addresses["llm"],
        )


def find_target() -> Target:
    """The Pentad to talk to.

    Key and addresses in the environment (PENTAD_API_KEY, PENTAD_BUS_ADDRESS, …) name one, unless --state-dir
    is given; otherwise it is the one of the state directory, with PENTAD_API_KEY if only that is set.
    Raises UsageProblem NOT_RUNNING if there is none.
    """
    named = {name: os.environ[variable] for name, variable in VARIABLES.items() if os.environ.get(variable)}
    key = os.environ.get(API_KEY, "")
    if named and key and not chosen_state_dir():
        return Target(_completed(named), key)
    state = current_state_dir()
    up = state.read_up() if state.holder() is not None else None
    if up is None:
        raise not_running(state)
    # Exports of another Pentad's must not be mixed with this one: its key only counts when it comes alone.
    own = state.read_key() if named or not key else key
    if not own:
        raise UsageProblem(
            f"the key in {state.key_file} cannot be read",
            f"Set {API_KEY}, or run this as who started it.",
            "NO_KEY",
        )
    return Target(dict(up["addresses"]), own, state)


def _completed(named: dict[str, str]) -> dict[str, str]:
    missing = [VARIABLES[name] for name in SERVICES if name not in named]
    if missing:
        raise UsageProblem(
            f"some addresses are in the environment, and not {', '.join(missing)}",
            "Set all of them (`pentad env` prints them), or none.",
            "ENVIRONMENT_INCOMPLETE",
        )
    return named


def not_running(state: StateDir) -> UsageProblem:
    return UsageProblem(
        f"no Pentad is running on {state.path}",
        "Start one with `pentad up --detach`, or name another with --state-dir DIR.",
        "NOT_RUNNING",
    )
