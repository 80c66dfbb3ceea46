"""The catalog's file: YAML, with mistakes told by line, place and what to do.

A file need not repeat what it does not change: providers that it says nothing of are as in the gateway's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pentad_common.errors import StartupError
from pentad_llm_gateway.catalog_schema import (
    CURRENCY,
    UNKNOWN_MODEL,
    BreakerRules,
    Catalog,
    Fallbacks,
    Misplaced,
    ModelEntry,
    Price,
    ProviderEntry,
    TimeLimitsEntry,
)

__all__ = [
    "CURRENCY",
    "UNKNOWN_MODEL",
    "BreakerRules",
    "Catalog",
    "CatalogProblem",
    "Fallbacks",
    "ModelEntry",
    "Price",
    "ProviderEntry",
    "TimeLimitsEntry",
    "load_catalog",
    "located",
    "parse_catalog",
    "read_catalog",
]

_MOST_MISTAKES = 10


def load_catalog(path: str = "") -> Catalog:
    """The catalog at `path`, or the one that comes with the gateway. Raises StartupError, saying where it is
    wrong."""
    shown = path or "models.yaml"
    return parse_catalog(read_catalog(path), shown)


def read_catalog(path: str) -> str:
    """The text of the catalog at `path`, or of the gateway's own. Raises StartupError."""
    try:
        if not path:
            return files("pentad_llm_gateway").joinpath("models.yaml").read_text()
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{path} cannot be read ({error.strerror}): check PENTAD_LLM_CATALOG") from None
    except UnicodeDecodeError as error:
        raise StartupError(f"{path} is not UTF-8 text (byte {error.start})") from None


def parse_catalog(text: str, shown: str) -> Catalog:
    """The catalog that a text says. `shown`: the file's name in messages. Raises StartupError with up to ten
    mistakes, each as `file, line N: field: what is wrong`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_twins(root, shown)
        return Catalog.model_validate(_completed(yaml.safe_load(text)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        at = f" (column {mark.column + 1})" if mark else ""
        raise StartupError(f"{shown}{line}: not YAML: {error.problem or error.context}{at}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise StartupError(f"{shown}: not YAML: {error}") from None
    except ValidationError as error:
        raise StartupError("; ".join(_mistakes(error, root, shown))) from None


def _completed(value: Any) -> Any:
    """With the providers of the gateway's own catalog that the file says nothing of."""
    value = {} if value is None else value
    if isinstance(value, dict) and isinstance(value.get("providers") or {}, dict):
        return value | {"providers": _own_providers() | (value.get("providers") or {})}
    return value


@cache
def _own_providers() -> dict[str, Any]:
    return dict(yaml.safe_load(read_catalog(""))["providers"])


class CatalogProblem(StartupError):
    """What is wrong at a place of the catalog that its own rules cannot tell, such as a kind of provider that
    is not installed."""

    def __init__(self, path: Sequence[str | int], problem: str) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {problem}")
        self.path = path


@contextmanager
def located(text: str, shown: str) -> Iterator[None]:
    """Within the block a CatalogProblem is told with the line of its place in the text."""
    try:
        yield
    except CatalogProblem as error:
        line = _line(yaml.compose(text, Loader=yaml.SafeLoader), error.path)
        raise StartupError(f"{shown}, line {line}: {error}") from None


def _mistakes(error: ValidationError, root: yaml.Node | None, shown: str) -> Iterator[str]:
    problems = error.errors()
    for item in problems[:_MOST_MISTAKES]:
        raised = item.get("ctx", {}).get("error")
        path = raised.path if isinstance(raised, Misplaced) else item["loc"]
        field = ".".join(map(str, path)) or "the file"
        yield f"{shown}, line {_line(root, path)}: {field}: {_advice(item)}"
    if len(problems) > _MOST_MISTAKES:
        yield f"and {len(problems) - _MOST_MISTAKES} more"


def _advice(item: Any) -> str:
    match item["type"]:
        case "extra_forbidden":
            return "there is no such field; look for a misspelling"
        case "missing":
            return "is missing"
    said = str(item["msg"]).removeprefix("Value error, ")
    told = isinstance(item["input"], str | int | float)
    return f"{said} (it says {item['input']!r:.60})" if told else said


def _line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """The line, from 1, of a place in the file, or of the innermost one around it that is there."""
    line = 0 if node is None else node.start_mark.line
    for step in path:
        key, node = _inner(node, step)
        if node is None:
            break
        line = (key or node).start_mark.line
    return line + 1


def _inner(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key, if it has one, and the value at a step into a node; None where there is nothing."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    # An alias in short has no `deployments`: the steps into it lead to the short form itself.
    if step == "deployments" or (isinstance(node, yaml.ScalarNode) and step in (0, "model")):
        return None, node
    return None, None


def _refuse_twins(node: yaml.Node, shown: str) -> None:
    """YAML would take the last of two equal keys, and nobody would miss the first. Raises StartupError."""
    seen: set[str] = set()
    inner: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise StartupError(f"{shown}, line {line}: {key.value}: is there twice; remove one")
            seen.add(str(key.value))
        inner = [value for _, value in node.value]
    for value in inner:
        _refuse_twins(value, shown)
