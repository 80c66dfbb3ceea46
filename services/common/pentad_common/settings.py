"""Settings: one frozen object a service, read once from PENTAD_* variables."""

from __future__ import annotations

import os
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pentad_common.errors import StartupError

PREFIX = "PENTAD_"


class ServiceSettings(BaseSettings):
    """What every service can be told. A service subclasses it for what is its own; the prefix stays.

    Sizes are bytes, times are seconds. An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free one."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """0 is off."""
    database_url: str
    api_key: SecretStr | None = None
    """The key of role `service` with which this service calls its siblings."""
    bus_address: str = "127.0.0.1:7401"
    registry_address: str = "127.0.0.1:7402"
    context_address: str = "127.0.0.1:7403"
    orchestrator_address: str = "127.0.0.1:7404"
    llm_address: str = "127.0.0.1:7405"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tls_cert: str | None = None
    """With `tls_key`: shown to callers, and to siblings that ask for one."""
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """Set: clients must show a certificate of this authority."""
    tls_ca: str | None = None
    """The authority by which this service knows its siblings."""
    drain_seconds: float = Field(default=10.0, ge=0)
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024)
    max_concurrent_rpcs: int = Field(default=10_000, ge=1)
    unary_deadline_seconds: float = Field(default=60.0, gt=0)
    """The longest a unary call may take, whatever deadline its caller set."""
    database_pool_size: int = Field(default=8, ge=1)


Settings = TypeVar("Settings", bound=ServiceSettings)


def load_settings(kind: type[Settings]) -> Settings:
    """Reads the environment. Raises StartupError, naming each variable at fault, if it does not fit."""
    try:
        return kind()
    except ValidationError as error:
        raise StartupError("; ".join(_explain(item) for item in error.errors())) from None


def _explain(item: object) -> str:
    """One clause about one variable; secrets are not shown."""
    assert isinstance(item, dict)
    variable = "_".join(str(part) for part in item["loc"]).upper()
    name = variable if variable in os.environ else PREFIX + variable  # some have names of their own
    if item["type"] == "missing":
        return f"{name} is not set"
    message = item["msg"].removeprefix("Value error, ")
    # The input of a rule about several settings is all of them, keys included.
    secret = "KEY" in name or "URL" in name or not isinstance(item["input"], str)
    shown = "" if secret else f" (it is {item['input']!r})"
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}"
