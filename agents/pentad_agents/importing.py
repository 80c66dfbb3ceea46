"""Imports an agent's file under a module name of its own, from its source, with its siblings as they are now.

Each load gets a package of its own (`_pentad_agents_7`) whose folder is the agents' folder: `from ._tables
import read` finds `_tables.py` beside the file, freshly, and two versions of a file live side by side while
tasks finish. Bytecode is neither read nor written: it is told apart by whole seconds and the length, which is
too coarse for edits.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType

PREFIX = "_pentad_agents_"
OWN_PACKAGE = "pentad_agents"
_numbers = count(1)


class FileError(Exception):
    """Why a file cannot be used. `reason`: as in the registry's AgentFile. `line`: in the file itself, 0 if
    unknown."""

    def __init__(self, reason: str, message: str, detail: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.detail = detail
        self.line = line


class _FreshLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _FolderFinder:
    """Finds the modules of the packages that this module makes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX) or path is None:
            return None
        base = Path(path[0]) / fullname.rpartition(".")[2]
        for file, places in ((base / "__init__.py", [str(base)]), (base.with_name(base.name + ".py"), None)):
            if file.is_file():
                loader = _FreshLoader(fullname, str(file))
                return spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=places
                )
        return None


_finder = _FolderFinder()


def import_file(file: Path) -> ModuleType:
    """Runs the file. Raises FileError SYNTAX_ERROR or IMPORT_ERROR, whatever the file raises."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _forget_siblings(file.parent)
    package = ModuleType(f"{PREFIX}{next(_numbers)}")
    package.__path__ = [str(file.parent)]
    sys.modules[package.__name__] = package
    sys.dont_write_bytecode = True  # of siblings that are imported by their plain name
    try:
        return importlib.import_module(f"{package.__name__}.{file.stem}")
    except BaseException as error:
        unload(package.__name__)
        raise explain(error, file) from error


def unload(module_name: str) -> None:
    """Forgets what was imported for one load; objects that are in use live on."""
    package = module_name.partition(".")[0]
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        sys.modules.pop(name, None)


def siblings(module: ModuleType) -> list[Path]:
    """The files below the agents' folder that the module's import brought in, itself included."""
    folder = Path(str(module.__file__)).parent
    return sorted({path for path in _loaded_files() if path.is_relative_to(folder)})


def explain(error: BaseException, file: Path) -> FileError:
    """The error that leaving `file` raised, as people want to read it."""
    linecache.checkcache()
    if isinstance(error, SyntaxError) and error.filename:
        where = "" if Path(error.filename) == file else f" of {Path(error.filename).name}"
        detail = "".join(traceback.format_exception_only(error))
        message = f"line {error.lineno}{where}: {type(error).__name__}: {error.msg}"
        return FileError("SYNTAX_ERROR", message, detail, error.lineno or 0)
    frames = traceback.extract_tb(error.__traceback__)
    first = next((index for index, frame in enumerate(frames) if frame.filename == str(file)), len(frames))
    line = max((frame.lineno or 0 for frame in frames[first:] if frame.filename == str(file)), default=0)
    if isinstance(error, SystemExit):
        message = f"it ends the program when it is imported: sys.exit({error.code!r})"
    else:
        message = traceback.format_exception_only(error)[-1].strip()
    detail = "".join(["Traceback (most recent call last):\n", *traceback.format_list(frames[first:])])
    detail += "".join(traceback.format_exception_only(error))
    return FileError("IMPORT_ERROR", f"line {line}: {message}" if line else message, detail, line)


def _forget_siblings(folder: Path) -> None:
    """Makes absolute imports of the file's siblings find them as they are now, after everything installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    roots = {name for name, module in list(sys.modules.items()) if _is_sibling(name, module, folder)}
    for name in [name for name in list(sys.modules) if name.partition(".")[0] in roots]:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def _is_sibling(name: str, module: ModuleType, folder: Path) -> bool:
    """Whether it is a top-level module or package of the folder, and not one of Pentad's own."""
    path = getattr(module, "__file__", None)
    places = (folder / f"{name}.py", folder / name / "__init__.py")
    return bool(path) and "." not in name and not _is_own(name) and Path(str(path)) in places


def _loaded_files() -> list[Path]:
    """The source files of all modules but Pentad's own and installed ones."""
    named = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
    paths = [Path(path) for name, path in named if path and not _is_own(name)]
    return [path for path in paths if "site-packages" not in path.parts]


def _is_own(name: str) -> bool:
    return name.partition(".")[0] in (OWN_PACKAGE, "__main__")
