"""The process of the local model: `python -m pentad_llm_gateway.local_server`, started by `local_process`.

It reads one line of JSON from standard input (so that no other user sees the key among the arguments), serves
OpenAI's protocol on a free port of the loopback interface, and prints that port. It ends when standard input
does, or with its parent, whatever that one died of.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_HTTP_THREADS = 4
_PROMPT_CACHE_MIB = 16
_ERRORS_ONLY = 1


def main() -> None:
    """Serves until standard input ends."""
    config = json.loads(sys.stdin.readline() or "{}")
    _die_with(config["parent"])
    server = serve(config)
    port = server.listening_address.rpartition(":")[2]
    print(json.dumps({"port": int(port)}), flush=True)
    sys.stdin.read()
    os._exit(0)  # the server's threads would take seconds to end


def serve(config: dict[str, Any]) -> Any:
    """The server, ready: the model is loaded when its constructor returns."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model_path"]
    params.model_alias = {config["model"]}
    params.api_keys = [config["api_key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = config["parallel"]
    params.n_ctx = config["context_tokens"] * config["parallel"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.n_threads_http = _HTTP_THREADS + config["parallel"]
    # Vectors and answers come from the same process. The last token's state has all of a text in it; a mean
    # over all states would take a batch as long as the text.
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    params.cache_ram_mib = _PROMPT_CACHE_MIB  # 8 GB by default
    params.cors_origins = ""  # anyone's web page by default
    params.cors_credentials = False
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.offline = True
    params.sampling.temp, params.sampling.top_p = (
        0.2,
        0.9,
    )  # what its makers advise; requests may say otherwise
    params.verbosity = _ERRORS_ONLY  # prompts never reach a log
    return xllamacpp.Server(params)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    main()
