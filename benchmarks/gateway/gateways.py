"""The processes under measurement, each one process with the settings that its documentation recommends."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path

from benchmarks.bus.broker import PEERS, Broker, free_port
from benchmarks.bus.pentad_bus import serves, template
from benchmarks.bus.process import ROOT
from pentad_llm_gateway.settings import GatewaySettings

MODEL = "bench"
UPSTREAM_KEY = "sk-upstream"


class Gateway(Broker):
    """In front of the provider at `upstream` (`http://host:port/v1`)."""

    protocol = "openai"
    model = MODEL
    cache = ""
    """How its callers ask for its cache; "" if it has none."""

    def __init__(self, folder: Path, upstream: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.upstream = upstream

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


class Upstream(Broker):
    """The provider itself."""

    def __init__(self, folder: Path, latency_ms: float, token_ms: float) -> None:
        super().__init__(folder)
        self._times = (str(latency_ms), str(token_ms))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        module = "benchmarks.gateway.upstream"
        self.run(sys.executable, "-m", module, str(self.port), *self._times, ready=self.listens)

    def answers(self) -> int:
        """That it has given so far."""
        with urllib.request.urlopen(self.address, timeout=10) as response:
            return int(response.read())


class Direct(Gateway):
    """No gateway."""

    key = UPSTREAM_KEY

    @property
    def address(self) -> str:
        return self.upstream

    def start(self) -> None:
        pass


class PentadGateway(Gateway):
    """`python -m pentad_llm_gateway` on SQLite."""

    protocol = "grpc"
    model = f"openai-compatible/{MODEL}"
    cache = "pentad"

    def __init__(self, folder: Path, upstream: str) -> None:
        super().__init__(folder, upstream)
        empty, self.key = template()
        shutil.copytree(empty, folder / "state")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            "PENTAD_DATABASE_URL": f"sqlite:///{self.folder / 'state' / 'pentad.db'}",
            "PENTAD_PORT": str(self.port),
            "PENTAD_LLM_COMPATIBLE_BASE_URL": self.upstream,
            "PENTAD_LLM_COMPATIBLE_API_KEY": UPSTREAM_KEY,
            "PENTAD_LLM_COMPATIBLE_MODEL": MODEL,
            "PENTAD_LOG_FORMAT": "json",
            "PENTAD_DRAIN_SECONDS": "1",
        }
        service = "pentad.llm.v1.LlmGatewayService"
        self.run(
            sys.executable,
            "-m",
            "pentad_llm_gateway",
            env=environment | self._more(),
            ready=lambda: serves(self.port, service),
        )

    def _more(self) -> dict[str, str]:
        return {}


class PentadHttp(PentadGateway):
    """The same, by its HTTP door."""

    protocol = "openai"
    cache = "pentad-http"

    def __init__(self, folder: Path, upstream: str) -> None:
        super().__init__(folder, upstream)
        self._http_port = free_port()

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be started here; empty if it can."""
        has = "llm_http_port" in GatewaySettings.model_fields
        return "" if has else "this version of the gateway has no HTTP door"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http_port}/v1"

    def _more(self) -> dict[str, str]:
        return {"PENTAD_LLM_HTTP_PORT": str(self._http_port)}


class LiteLlm(Gateway):
    """LiteLLM's proxy without a database, one worker, as its page on production says: no verbose logs, no
    retries that hide failures; its cache in memory, for those who ask for it.
    """

    key = "sk-litellm-master"
    cache = "litellm"

    def start(self) -> None:
        config = self.folder / "litellm.yaml"
        config.write_text(json.dumps(self._config()))
        options = ["--config", str(config), "--host", "127.0.0.1", "--port", str(self.port)]
        command = [str(PEERS / "litellm"), *options, "--num_workers", "1", "--telemetry", "False"]
        environment = {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it fetches prices when it starts
            "DISABLE_ADMIN_UI": "True",
            "NO_DOCS": "True",
            "PATH": f"{PEERS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        self.run(*command, env=environment, ready=self.listens)

    def _config(self) -> dict[str, object]:
        upstream = {"model": f"openai/{MODEL}", "api_base": self.upstream, "api_key": UPSTREAM_KEY}
        settings = {
            "set_verbose": False,
            "json_logs": True,
            "request_timeout": 600,
            "num_retries": 0,
            "cache": True,
            "cache_params": {"type": "local", "mode": "default_off"},
        }
        return {
            "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
            "litellm_settings": settings,
            "general_settings": {"master_key": self.key},
        }
