"""Finds the agents in an imported module and checks that they keep to BaseAgent's rules."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

from pentad_agents.agent import BaseAgent, agent_description, agent_name, message_handlers

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_WORDS, MAX_WORD, MAX_DESCRIPTION, MAX_SCHEMA = 64, 64, 2048, 65536
MAX_CONCURRENCY = 1000
TAKEN = ("pentad.task", "pentad.cancel")
"""Message types that the host handles itself."""


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What an agent says of itself. The schemas are JSON texts, empty for none."""

    name: str
    description: str
    version: str
    capabilities: tuple[str, ...]
    tags: tuple[str, ...]
    input_schema: str
    output_schema: str
    max_concurrency: int

    def as_json(self) -> dict[str, Any]:
        """The spec as a JSON object."""
        return asdict(self)


class InvalidAgent(Exception):
    """A class that inherits BaseAgent and breaks one of its rules. `line`: where the class begins, 0 if
    unknown."""

    def __init__(self, cls: type, problem: str) -> None:
        super().__init__(f"class {cls.__name__}: {problem}")
        try:
            self.line = inspect.getsourcelines(cls)[1]
        except (OSError, TypeError):
            self.line = 0


def find_agents(module: ModuleType) -> list[type[BaseAgent]]:
    """The agents defined in the module itself, in order. Not those it imports, private ones, or bases of
    others."""
    mine = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseAgent) and value.__module__ == module.__name__
    ]
    classes = list(dict.fromkeys(mine))
    return [cls for cls in classes if not cls.__name__.startswith("_") and not _is_base(cls, classes)]


def describe(cls: type[BaseAgent], stem: str) -> AgentSpec:
    """What an agent of the file `stem` says of itself. Raises InvalidAgent where it breaks a rule."""
    if isinstance(cls.CAPABILITIES, str):
        raise InvalidAgent(cls, f"CAPABILITIES is one str; write a list: [{cls.CAPABILITIES!r}]")
    _check_execute(cls)
    _check_handlers(cls)
    name = agent_name(cls, stem)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidAgent(
            cls,
            f"name {name!r} is no agent name: a lower-case letter, then up to 62 of a-z, 0-9, '_', '-'",
        )
    limit = cls.MAX_CONCURRENCY
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_CONCURRENCY:
        raise InvalidAgent(
            cls, f"MAX_CONCURRENCY must be a number from 1 to {MAX_CONCURRENCY}, not {limit!r}"
        )
    if not isinstance(cls.DESCRIPTION, str):
        raise InvalidAgent(cls, f"DESCRIPTION must be a str, not {cls.DESCRIPTION!r}")
    capabilities = _words(cls, "CAPABILITIES", cls.CAPABILITIES)
    if not capabilities:
        raise InvalidAgent(
            cls, "CAPABILITIES must name at least one thing that it can do, such as ['summarize']"
        )
    return AgentSpec(
        name=name,
        description=agent_description(cls)[:MAX_DESCRIPTION],
        version=_version(cls),
        capabilities=capabilities,
        tags=_words(cls, "TAGS", cls.TAGS),
        input_schema=_schema(cls, "INPUT_SCHEMA", cls.INPUT_SCHEMA),
        output_schema=_schema(cls, "OUTPUT_SCHEMA", cls.OUTPUT_SCHEMA),
        max_concurrency=limit,
    )


def create(cls: type[BaseAgent]) -> BaseAgent:
    """The agent itself. Raises InvalidAgent if it wants arguments or fails."""
    try:
        return cls()
    except Exception as error:
        raise InvalidAgent(
            cls, f"cannot be created without arguments: {type(error).__name__}: {error}"
        ) from error


def _is_base(cls: type[BaseAgent], classes: Sequence[type]) -> bool:
    """Whether it only serves others to inherit: abstract, or without an `execute()` and inherited in this
    file."""
    if inspect.isabstract(cls):
        return True
    inherited = any(other is not cls and issubclass(other, cls) for other in classes)
    return inherited and (cls.execute is BaseAgent.execute or not cls.CAPABILITIES)


def _check_execute(cls: type[BaseAgent]) -> None:
    method = cls.execute
    if method is BaseAgent.execute:
        raise InvalidAgent(cls, "has no `async def execute(self, task, ctx)`")
    if inspect.isasyncgenfunction(method):
        raise InvalidAgent(cls, "execute() must `return` its answer, not `yield`")
    if not inspect.iscoroutinefunction(method):
        raise InvalidAgent(cls, "execute() must be a coroutine: `async def execute(self, task, ctx)`")
    try:
        inspect.signature(method).bind(None, None, None)
    except TypeError:
        raise InvalidAgent(
            cls,
            f"execute{inspect.signature(method)} must be `async def execute(self, task, ctx)`",
        ) from None


def _check_handlers(cls: type[BaseAgent]) -> None:
    seen: dict[str, str] = {}
    for type_, name in message_handlers(cls):
        if not isinstance(type_, str) or not type_ or type_ in TAKEN:
            raise InvalidAgent(cls, f"@on({type_!r}): {name}() cannot take messages of that type")
        if type_ in seen:
            raise InvalidAgent(cls, f"@on({type_!r}) stands at {seen[type_]}() and at {name}()")
        seen[type_] = name
        method = getattr(cls, name)
        try:
            inspect.signature(method).bind(None, None, None)
        except TypeError:
            method = None
        if not inspect.iscoroutinefunction(method):
            raise InvalidAgent(
                cls, f"@on({type_!r}): {name}() must be `async def {name}(self, message, ctx)`"
            )


def _words(cls: type, field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise InvalidAgent(cls, f"{field} must be a list of str, not {value!r}")
    words = tuple(sorted(value) if isinstance(value, set | frozenset) else value)
    for word in words:
        if not isinstance(word, str) or not word.strip() or len(word) > MAX_WORD:
            raise InvalidAgent(
                cls, f"{field} must hold str of 1 to {MAX_WORD} characters; {word!r} is not one"
            )
    if len(words) > MAX_WORDS:
        raise InvalidAgent(cls, f"{field} may hold {MAX_WORDS} at most")
    return tuple(dict.fromkeys(words))


def _version(cls: type[BaseAgent]) -> str:
    version = cls.VERSION
    if not isinstance(version, str | int | float) or not str(version) or len(str(version)) > MAX_WORD:
        raise InvalidAgent(cls, f"VERSION must be a str of 1 to {MAX_WORD} characters, not {version!r}")
    return str(version)


def _schema(cls: type, field: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise InvalidAgent(cls, f"{field} must be a JSON Schema as a dict, not {type(value).__name__}")
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidAgent(cls, f"{field} cannot be written as JSON: {error}") from None
    if len(text) > MAX_SCHEMA:
        raise InvalidAgent(cls, f"{field} is longer than {MAX_SCHEMA} characters")
    return text
