"""Pentad's LLM gateway beside LiteLLM's proxy and beside no gateway at all: `make bench-gateway`.

One provider, a process that speaks OpenAI's chat format and costs next to nothing, is behind them all. It
answers at once, so that what is measured is what a gateway adds; `--upstream-ms` makes it take its time. A
stream's tokens come every 10 ms, 64 in an answer, so that 100 streams at once are 6,400 to 10,000 tokens a
second.

Each gateway is one process, started once for all runs and idle while others are measured; each has a
process of callers of its own. Runs are interleaved: each scenario with every system, then all again. What
is added (`added_latency_p50`) is told run by run against direct calls of that same run. No prompt is asked
twice, but in `cache-10`. Memory is that of a fresh process, after 1,000 calls and after 100,000 more, or as
many of them as it answers in a minute; `pentad` has the time it takes.

direct
    The provider, called with OpenAI's SDK.
pentad
    The defaults of `python -m pentad_llm_gateway`, with its ledger in SQLite: every call is a row. Callers
    use pentad_client over gRPC. The cache is asked for by a CachePolicy.
pentad-http
    The same by its OpenAI-compatible door, called with OpenAI's SDK.
litellm
    LiteLLM's proxy, one worker, without a database: it keeps no account. Called with OpenAI's SDK. Settings
    as its page on production says; the model's prices come from its own files; the cache is in memory and
    by request.

Callers that use the SDK spend more CPU a call than either of Pentad's processes: on few cores their rates
at 10 and 100 calls at once are the callers' as much as the gateway's. `gateway_cpu_per_call` is the
gateway's alone.
"""
