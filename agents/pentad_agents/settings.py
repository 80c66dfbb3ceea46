"""What the host can be told: PENTAD_* variables, read once."""

from __future__ import annotations

import re
import secrets
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "PENTAD_"


class ConfigurationError(Exception):
    """The host cannot start as it is set up; the message says what to change."""


class HostSettings(BaseSettings):
    """Settings of a host of agents; addresses and TLS are the client's own (`pentad_client.config`)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    api_key: SecretStr
    agents_dir: Path = Path("agents")
    host: str = "127.0.0.1"
    """Where the health check listens."""
    port: int = Field(default=0, ge=0, le=65535)
    """Of the health check; 0 is none."""
    instance: str = Field(
        default_factory=lambda: default_instance(), pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,55}$"
    )
    """Name of this host, and of its instance of each agent."""
    drain_seconds: float = Field(default=10.0, ge=0)
    """How long tasks may go on after SIGTERM."""
    agents_check_seconds: float = Field(default=10.0, gt=0)
    """How long the import of a file may take."""
    agents_poll_seconds: float = Field(default=0.25, gt=0)
    """How often the folder is looked at."""
    agents_llm: Literal["on", "off"] = "on"
    """Off: `ctx.llm` refuses every call, and agents do without. A step's parameter `llm` does the same for
    one step."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("agents_dir")
    @classmethod
    def _is_folder(cls, value: Path) -> Path:
        folder = value.expanduser().absolute()
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise ValueError(f"the agents' folder {folder} {what}")
        return folder


def load_settings(**given: object) -> HostSettings:
    """The settings; `given` ones come before the environment's. Raises ConfigurationError."""
    try:
        return HostSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain(dict(item)) for item in error.errors())) from None


def default_instance() -> str:
    """A name of its own for each start: the machine's, and six characters more."""
    machine = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40].strip(".-") or "host"
    return f"{machine}-{secrets.token_hex(3)}"


def _explain(item: dict[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    name = PREFIX + "_".join(str(part) for part in location).upper()
    if item["type"] == "missing":
        return f"{name} is not set; `pentad env` prints what a client needs"
    return f"{name}: {str(item['msg']).removeprefix('Value error, ')}"
