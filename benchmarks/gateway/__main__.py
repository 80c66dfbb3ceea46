"""`python -m benchmarks.gateway`: measures, prints the table, writes `benchmarks/results/gateway.json` and a
plot.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.bus.broker import PEERS
from benchmarks.bus.process import ROOT
from benchmarks.bus.profile import Profile
from benchmarks.bus.table import show
from benchmarks.gateway.gateways import Upstream
from benchmarks.gateway.measurement import UNITS, House, add_differences
from benchmarks.gateway.scenario import SCENARIOS, Scenario
from benchmarks.gateway.system import SYSTEMS, System
from benchmarks.options import count, named
from benchmarks.report import RESULTS, Row, row, save

RUNS = 3
BUSY = 0.5
"""Load of the machine before the benchmark, above which it is no quiet one."""
QUICK_SECONDS = 150.0
"""After which `--quick` begins nothing more."""
Samples = dict[tuple[str, str], dict[str, list[float]]]
"""By scenario and system, the samples of each metric."""

HEADINGS = {
    "calls_per_second": "calls/s",
    "hits_per_second": "hits/s",
    "tokens_per_second": "tokens/s",
    "latency_p50": "p50",
    "latency_p99": "p99",
    "added_latency_p50": "+p50",
    "added_latency_p99": "+p99",
    "first_token_p50": "first p50",
    "first_token_p99": "first p99",
    "added_first_token_p50": "+first p50",
    "gateway_cpu_per_call": "CPU",
    "client_cpu_per_call": "client CPU",
    "rss_before": "RSS before",
    "rss_after": "after",
    "calls": "calls",
}

EXAMPLES = """examples:
  python -m benchmarks.gateway                                  everything, three times: about 11 minutes
  python -m benchmarks.gateway --quick                          everything once and short, under 3 minutes
  python -m benchmarks.gateway --systems direct,pentad --scenarios unary-1,unary-100 --runs 5
  python -m benchmarks.gateway --systems pentad --scenarios unary-10 --runs 1 --profile /tmp/stacks
"""


def main() -> None:
    """The command."""
    options = _options()
    if not (PEERS / "litellm").exists():
        sys.exit("error: the peer is not installed; `make bench-gateway` installs it into .venv-bench")
    systems = _available(options.systems)
    load = round(os.getloadavg()[0], 2)
    if load > BUSY:
        _progress(f"the machine is busy (load {load}): figures will be low, and far apart")
    samples, failures = _measure_all(systems, options)
    rows = rows_of(samples)
    show(rows, HEADINGS)
    times = {"upstream_latency_ms": options.upstream_ms, "upstream_token_ms": options.token_ms}
    print(f"-> {save(options.output, rows, load_before=load, peers=_versions(), **times)}")
    if rows:
        _plot(options.output)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway",
        description="Measures Pentad's LLM gateway, its peer and calls without one side by side.",
        epilog=EXAMPLES + _listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--systems", type=named(SYSTEMS), default=list(SYSTEMS), metavar="A,B")
    parser.add_argument("--scenarios", type=named(SCENARIOS), default=list(SCENARIOS), metavar="A,B")
    parser.add_argument("--runs", type=count, default=None, metavar="N", help="of each, interleaved (3)")
    parser.add_argument("--quick", action="store_true", help="short measurements, and one run unless --runs")
    parser.add_argument("--output", metavar="NAME", default="gateway", help="benchmarks/results/NAME.json")
    parser.add_argument("--upstream-ms", type=float, default=0.0, help="before the provider answers (0)")
    parser.add_argument("--token-ms", type=float, default=10.0, help="between a stream's tokens (10)")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="record stacks, which costs some speed"
    )
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else RUNS)
    return options


def _listed() -> str:
    scenarios = "\n".join(f"  {one.name:<12} {one.what}" for one in SCENARIOS.values())
    return f"\nsystems:\n  {', '.join(SYSTEMS)}\n\nscenarios:\n{scenarios}\n"


def _available(names: Sequence[str]) -> list[System]:
    found = []
    for name in names:
        if reason := SYSTEMS[name].missing():
            _progress(f"{name} is left out: {reason}")
        else:
            found.append(SYSTEMS[name])
    return found


def plan(
    systems: Sequence[System], scenarios: Sequence[str], runs: int
) -> list[tuple[int, Scenario, System]]:
    """What is measured, in order: every system in turn, again in each run; memory once."""
    return [
        (run, SCENARIOS[name], system)
        for run in range(runs)
        for name in scenarios
        for system in systems
        if system.takes(SCENARIOS[name]) and not (run and SCENARIOS[name].memory)
    ]


def _measure_all(systems: Sequence[System], options: argparse.Namespace) -> tuple[Samples, list[str]]:
    todo = plan(systems, options.scenarios, options.runs)
    by_run: list[dict[tuple[str, str], dict[str, float]]] = [{} for _ in range(options.runs)]
    failures: list[str] = []
    began = time.monotonic()
    with _house(options) as house:
        for place, (run, scenario, system) in enumerate(todo):
            title = f"[{place + 1}/{len(todo)}] {scenario.name} {system.name}"
            if options.quick and time.monotonic() - began > QUICK_SECONDS:
                _progress(f"{title} is left out: the time is over")
                continue
            try:
                by_run[run][scenario.name, system.name] = _measured(title, house, system, scenario, options)
            except RuntimeError as error:
                failures.append(f"{title}: {error}")
                _progress(failures[-1])
    return samples_of(by_run), failures


@contextmanager
def _house(options: argparse.Namespace) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="pentad-bench-", ignore_cleanup_errors=True) as name:
        house = House(Path(name), Upstream(Path(name), options.upstream_ms, options.token_ms))
        try:
            yield house
        finally:
            house.close()


def _measured(
    title: str, house: House, system: System, scenario: Scenario, options: argparse.Namespace
) -> dict[str, float]:
    began = time.monotonic()
    profile = Profile(options.profile, f"{scenario.name}-{system.name}") if options.profile else None
    found = house.measure(system, scenario, options.quick, profile)
    shown = ", ".join(f"{HEADINGS[name]} {value:,.4g}" for name, value in found.items())
    _progress(f"{title}: {shown} ({time.monotonic() - began:.1f} s)")
    if profile is not None:
        _progress(profile.summary())
    return found


def samples_of(by_run: Sequence[dict[tuple[str, str], dict[str, float]]]) -> Samples:
    """All runs' figures together, with what each run's are above those of direct calls in that run."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    for of_one_run in by_run:
        for scenario in SCENARIOS.values():
            add_differences(of_one_run, scenario)
        for place, found in of_one_run.items():
            for metric, value in found.items():
                samples[place][metric].append(value)
    return samples


def rows_of(samples: Samples) -> list[Row]:
    """The samples' medians, in the form of all benchmarks."""
    return [
        row(scenario, metric, UNITS[metric], values, system)
        for (scenario, system), metrics in samples.items()
        for metric, values in metrics.items()
    ]


def _versions() -> dict[str, str]:
    """Of what Pentad is compared with, and of the SDK that calls it."""
    code = "from importlib.metadata import version; print(version('litellm'))"
    done = subprocess.run([str(PEERS / "python"), "-c", code], capture_output=True, text=True, check=True)
    return {"litellm": done.stdout.strip(), "openai": version("openai")}


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _plot(name: str) -> None:
    source, target = RESULTS / f"{name}.json", RESULTS / f"{name}.svg"
    command = [str(PEERS / "python"), "-m", "benchmarks.gateway.plot", str(source), str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"-> {target}" if done.returncode == 0 else f"no plot: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    main()
