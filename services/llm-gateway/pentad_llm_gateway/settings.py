"""What the gateway can be told.

Keys come from the variables that the providers' own tools use: OPENAI_API_KEY, ANTHROPIC_API_KEY, and for any
server that speaks OpenAI's protocol PENTAD_LLM_COMPATIBLE_BASE_URL, _API_KEY and _MODEL. Only the operator
can set them: no request may name an address or a key.
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from pentad_common.settings import ServiceSettings


def secret(variable: str) -> str:
    """What a variable says that the operator named in the catalog; "" if it is not set, or none is named."""
    return os.environ.get(variable, "") if variable else ""


def _named(name: str) -> AliasChoices:
    """A setting under a variable of that very name, without the prefix PENTAD_."""
    return AliasChoices(name, name.upper())


class GatewaySettings(ServiceSettings):
    """Times are seconds. What is unset keeps a default that works without any key."""

    port: int = Field(default=7405, ge=0, le=65535)
    unary_deadline_seconds: float = Field(default=900.0, gt=0)

    llm_http_port: int | None = Field(default=None, ge=0, le=65535)
    """Where OpenAI's interface is served beside gRPC; unset is off, 0 takes a free one."""
    llm_http_max_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    """The largest body that is taken there; pictures are in it."""

    openai_api_key: SecretStr | None = Field(default=None, validation_alias=_named("openai_api_key"))
    openai_base_url: str = Field(
        default="https://api.openai.com/v1", validation_alias=_named("openai_base_url")
    )
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias=_named("anthropic_api_key"))
    anthropic_base_url: str = Field(
        default="https://api.anthropic.com", validation_alias=_named("anthropic_base_url")
    )
    llm_compatible_base_url: str = ""
    """Such as `http://vllm:8000/v1`."""
    llm_compatible_api_key: SecretStr | None = None
    llm_compatible_model: str = ""
    """The model that it is asked for when the caller names none."""

    llm_default_model: str = ""
    """`provider/model`, a provider or an alias. Unset: the first provider that is set up, of anthropic,
    openai, openai-compatible and local."""
    llm_catalog: str = ""
    """Path of a YAML file of models, prices, aliases and fallbacks, read again when it changes. Providers it
    says nothing of are as in the file that comes with the gateway."""

    llm_backend: Literal["memory", "redis"] = "memory"
    """Where limits are counted and answers are cached: in this process, or in Redis, shared by several."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis 7 or later, or Valkey; a cluster is recognised. Only for backend redis."""
    llm_lease_seconds: float = Field(default=30.0, ge=1)
    """Backend redis: what a gateway has reserved of limits is given back when it was silent for so long."""

    llm_connect_seconds: float = Field(default=10.0, gt=0)
    llm_first_token_seconds: float = Field(default=180.0, gt=0)
    """Without any sign of life: a model that thinks aloud may take longer."""
    llm_between_tokens_seconds: float = Field(default=60.0, gt=0)
    llm_total_seconds: float = Field(default=600.0, gt=0)
    """From the first attempt to the last token, waits between attempts included."""
    llm_attempts: int = Field(default=3, ge=1, le=10)
    llm_retry_seconds: float = Field(default=0.5, gt=0)
    """The wait before the second attempt; it doubles from then on."""

    llm_batch_concurrency: int = Field(default=8, ge=1, le=1000)
    """Items of batches that this gateway asks at once, where a provider has no batch API of its own."""
    llm_batch_seconds: float = Field(default=86_400.0, gt=0)
    """What is not answered after this long is given up."""
    llm_batch_poll_seconds: float = Field(default=5.0, gt=0)
    """The wait before the first look at a batch that a provider does; the waits grow."""
    llm_batch_most_poll_seconds: float = Field(default=60.0, gt=0)
    llm_batch_idle_seconds: float = Field(default=2.0, gt=0)
    """How often a gateway looks for batches that others took."""
    llm_batch_lease_seconds: float = Field(default=20.0, gt=0)
    """What a gateway that died was working on is taken over after this long."""
    llm_batch_retention_seconds: float = Field(default=30 * 86_400.0, gt=0)
    """How long results can be read; requests are deleted as soon as they have one."""

    llm_log_words: bool = False
    """Whether prompts and answers are in logs and spans. Keys never are."""

    llm_local_context_tokens: int = Field(default=4096, ge=256, le=8192)
    """Input and output of one call together. Each thousand takes about 45 MB."""
    llm_local_parallel: int = Field(default=2, ge=1, le=16)
    """Calls that the local model works on at once; the others wait their turn."""
    llm_local_threads: int = Field(default=1, ge=1)
    llm_local_queue: int = Field(default=256, ge=0)
    """Calls that may wait for the local model."""
    llm_local_idle_seconds: float = Field(default=300.0, gt=0)
    """The local model's process is stopped after this long without a call."""
    llm_local_start_seconds: float = Field(default=60.0, gt=0)

    @field_validator("openai_base_url", "anthropic_base_url", "llm_compatible_base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value
