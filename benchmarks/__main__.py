"""`python -m benchmarks [NAME…]`: runs the benchmarks named, or all."""

from __future__ import annotations

import argparse
from importlib import import_module

from benchmarks.report import save, show

NAMES = {
    "start": "how long until `pentad up` is ready, and the memory of its idle processes",
    "runs": "runs of agents that do nothing: what Pentad itself costs",
}
"""Each is a module of this package with `measure() -> list[Row]`."""


def main() -> None:
    """Runs what the command line names."""
    listed = "\n".join(f"  {name:<8} {what}" for name, what in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog=listed, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*NAMES, []])
    for name in parser.parse_args().names or NAMES:
        print(f"\n{name}: {NAMES[name]}")
        rows = import_module(f"benchmarks.{name}").measure()
        show(rows)
        print(f"-> {save(name, rows)}")


if __name__ == "__main__":
    main()
