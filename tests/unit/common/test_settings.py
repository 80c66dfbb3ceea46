"""Settings: what the environment says, or one clear line about what is wrong with it."""

from __future__ import annotations

import pytest

from pentad_client.config import ClientConfig
from pentad_common.errors import StartupError
from pentad_common.settings import ServiceSettings, load_settings


class SampleSettings(ServiceSettings):
    """A service with one setting of its own."""

    ack_wait_seconds: float = 30.0


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PENTAD_* variables set what they name; an empty one counts as unset."""
    monkeypatch.setenv("PENTAD_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("PENTAD_ACK_WAIT_SECONDS", "2.5")
    monkeypatch.setenv("PENTAD_PORT", "")
    settings = load_settings(SampleSettings)
    assert (settings.ack_wait_seconds, settings.port, settings.host) == (2.5, 0, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PENTAD_PORT", "99999", "PENTAD_PORT: input should be less than or equal to 65535 (it is '99999')"),
        ("PENTAD_PORT", "http", "PENTAD_PORT: input should be a valid integer"),
        ("PENTAD_LOG_FORMAT", "xml", "PENTAD_LOG_FORMAT: input should be 'auto', 'json' or 'console'"),
        ("PENTAD_DATABASE_URL", "", "PENTAD_DATABASE_URL is not set"),
    ],
)
def test_a_mistake_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    """A value that does not fit is told with the name of its variable."""
    monkeypatch.setenv("PENTAD_DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv(name, value)
    with pytest.raises(StartupError) as caught:
        load_settings(SampleSettings)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_client_reads_what_pentad_env_prints() -> None:
    """The client's config takes the variables that `pentad env` prints."""
    variables = {"PENTAD_API_KEY": "secret", "PENTAD_BUS_ADDRESS": "a:1", "PENTAD_LLM_ADDRESS": "b:2"}
    config = ClientConfig.from_env(variables)
    assert (config.api_key, config.bus_address, config.llm_address) == ("secret", "a:1", "b:2")
    assert "secret" not in repr(config)
