"""Generate the Python stubs beside the contracts: `python scripts/stubs.py [--check]`.

Writes `proto/buf/validate/validate.proto`, and for every contract `*_pb2.py`, `*_pb2.pyi`, `*_pb2_grpc.py`
and `*_pb2_grpc.pyi` (grpc.aio types), and package markers. `--check` writes nothing and exits 1 naming what
would differ.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import validate_proto
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent / "proto"
PACKAGES = ("pentad", "buf")
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "__init__.py", "py.typed")


def contracts(root: Path) -> list[str]:
    """Every contract of our packages, relative to the proto root."""
    return sorted(str(path.relative_to(root)) for name in PACKAGES for path in (root / name).rglob("*.proto"))


def copy_contracts(target: Path) -> None:
    """Copy the hand-written contracts and add the generated one."""
    for name in PACKAGES:
        for path in (PROTO / name).rglob("*.proto"):
            copy = target / path.relative_to(PROTO)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    validate = target / "buf/validate/validate.proto"
    validate.parent.mkdir(parents=True, exist_ok=True)
    validate.write_text(validate_proto.source())


def compile_contracts(root: Path) -> None:
    """Run protoc in `root`; exits with its status when a contract is wrong (it has said why)."""
    files = contracts(root)
    services = [name for name in files if "\nservice " in (root / name).read_text()]
    includes = [f"-I{root}", f"-I{WELL_KNOWN}"]
    plugin = f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).parent / 'protoc-gen-mypy_grpc'}"
    runs = [
        [f"--python_out={root}", f"--pyi_out={root}", *files],
        [plugin, f"--grpc_python_out={root}", f"--mypy_grpc_out=only_async,quiet:{root}", *services],
    ]
    for arguments in runs:
        if arguments[-1].endswith(".proto") and (status := protoc.main(["protoc", *includes, *arguments])):
            sys.exit(status)


def mark_packages(root: Path) -> None:
    """Make each folder an importable, typed package."""
    for name in PACKAGES:
        (root / name / "py.typed").touch()
        for folder in [root / name, *(path for path in (root / name).rglob("*") if path.is_dir())]:
            (folder / "__init__.py").touch()


def generated_files(root: Path) -> dict[str, bytes]:
    """Path relative to `root` → content, of everything that this script owns there."""
    found = {path for name in PACKAGES for pattern in GENERATED for path in (root / name).rglob(pattern)}
    found.add(root / "buf/validate/validate.proto")
    return {str(path.relative_to(root)): path.read_bytes() for path in found if path.exists()}


def generate() -> dict[str, bytes]:
    """Compile in a scratch folder, so that a mistake in a contract leaves the old stubs as they were."""
    with tempfile.TemporaryDirectory(prefix="pentad-stubs-") as scratch:
        root = Path(scratch)
        copy_contracts(root)
        compile_contracts(root)
        mark_packages(root)
        return generated_files(root)


def differences(wanted: dict[str, bytes], present: dict[str, bytes]) -> list[str]:
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write(wanted: dict[str, bytes], changed: list[str]) -> None:
    """Bring the checkout to `wanted`: write what differs, delete what no contract makes any more."""
    for name in changed:
        path = PROTO / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[name])
        else:
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the stubs beside the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would differ")
    check = parser.parse_args().check
    wanted = generate()
    changed = differences(wanted, generated_files(PROTO))
    if check and changed:
        sys.exit(
            "Stubs differ from the contracts; run `make proto` and commit:\n  proto/"
            + "\n  proto/".join(changed)
        )
    if not check:
        write(wanted, changed)
    print(f"{len(wanted)} generated files, {len(changed)} {'differ' if check else 'changed'}")


if __name__ == "__main__":
    main()
