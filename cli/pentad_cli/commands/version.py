"""`pentad version`."""

from __future__ import annotations

from pentad_cli.tree import command


@command("version", examples="pentad version")
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    print(f"pentad {installed('pentad')}")
