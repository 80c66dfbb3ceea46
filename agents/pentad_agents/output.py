"""What `execute()` may return."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pentad_agents.errors import AgentError
from pentad_agents.task import Part

TEXT = "text/plain; charset=utf-8"
MARKDOWN = "text/markdown; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Output:
    """One piece of an answer with a name and a media type.

    `content`: str, bytes, or anything that JSON can say. Without a `content_type` a str is plain text, bytes
    are `application/octet-stream`, all else is JSON.
    """

    content: Any
    name: str = ""
    content_type: str = ""

    @classmethod
    def markdown(cls, text: str, name: str = "") -> Output:
        """A piece of Markdown."""
        return cls(text, name, MARKDOWN)

    def encode(self) -> tuple[str, bytes]:
        """Media type and bytes. Raises AgentError INVALID_OUTPUT if the content cannot be written."""
        if isinstance(self.content, str):
            return self.content_type or TEXT, self.content.encode("utf-8", "surrogatepass")
        if isinstance(self.content, bytes | bytearray | memoryview):
            return self.content_type or BINARY, bytes(self.content)
        try:
            text = json.dumps(self.content, ensure_ascii=False, allow_nan=False, default=_jsonable)
        except (TypeError, ValueError, RecursionError) as error:
            raise AgentError("INVALID_OUTPUT", f"the output cannot be written as JSON: {error}") from None
        return self.content_type or JSON, text.encode()


@dataclass(frozen=True, slots=True)
class Handoff:
    """In an adaptive run: `agent` should go on. `output`: whatever else `execute()` may return."""

    agent: str
    output: Any = None


@dataclass(frozen=True, slots=True)
class Final:
    """In an adaptive run: nothing more needs to be done, `output` is the result. None: the run's last output
    is."""

    output: Any = None


def outputs_of(value: Any) -> Iterator[Output | Part]:
    """The pieces of what `execute()` returned (without Handoff or Final).

    Raises AgentError INVALID_OUTPUT if it is None, which is most often a forgotten `return`.
    """
    if value is None:
        raise AgentError(
            "INVALID_OUTPUT",
            "execute() returned None; return a str, bytes, a dict or list (JSON), Output, Handoff or Final",
        )
    if isinstance(value, Output | Part):
        yield value
    elif isinstance(value, list | tuple) and value and all(isinstance(one, Output | Part) for one in value):
        yield from value
    else:
        yield Output(value)


def _jsonable(value: Any) -> Any:
    """What JSON does not know: sets, dates, paths and dataclasses."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"{type(value).__name__} is not a JSON type")
