"""BaseAgent: what every agent inherits."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from pentad_agents.context import Context, Message
    from pentad_agents.task import Task


MessageHandler = Callable[..., Coroutine[Any, Any, Any]]
H = TypeVar("H", bound=MessageHandler)


def on(*types: str) -> Callable[[H], H]:
    """Marks a method `async def …(self, message, ctx)` as the one that takes messages of these types.

    As `on_message`, which gets all others: what it returns, unless None, is the answer; if it raises, the
    message comes again. A subclass may replace it by name, as any method.
    """

    def mark(method: H) -> H:
        setattr(method, MARK, (*getattr(method, MARK, ()), *types))
        return method

    return mark


MARK = "__pentad_types__"


class BaseAgent:
    """An agent: inherit, name `CAPABILITIES`, write `execute()`.

    `name`: what runs call it; without one, the class's name (`WordCounterAgent` is `word-counter`).
    `DESCRIPTION`: what a model reads that chooses among agents; without one, the class's docstring.
    `INPUT_SCHEMA`, `OUTPUT_SCHEMA`: JSON Schema of its parameters and of its JSON output. `MAX_CONCURRENCY`:
    how many tasks one instance works on at once.

    One object serves many tasks, some at the same time: keep what belongs to a task in local variables or
    `ctx.state`.
    """

    name: ClassVar[str] = ""
    CAPABILITIES: ClassVar[Sequence[str]] = ()
    DESCRIPTION: ClassVar[str] = ""
    VERSION: ClassVar[str] = "1"
    TAGS: ClassVar[Sequence[str]] = ()
    INPUT_SCHEMA: ClassVar[Mapping[str, Any] | None] = None
    OUTPUT_SCHEMA: ClassVar[Mapping[str, Any] | None] = None
    MAX_CONCURRENCY: ClassVar[int] = 4

    async def setup(self) -> None:
        """Called once before the first task. An exception keeps the agent from being registered."""

    async def execute(self, task: Task, ctx: Context) -> Any:
        """Does one task: returns str, bytes, dict or list (JSON), Output(s), Handoff or Final.

        Raises AgentError when it cannot; any other exception counts as a fault, and the task is tried again.
        """
        raise NotImplementedError

    async def on_message(self, message: Message, ctx: Context) -> Any:
        """Takes a message that is no task and has no method of its own (see `on`). What it returns, unless
        None, goes back to the sender as the answer.

        Agents without it leave such messages to the dead letters; who asked for an answer is told so.
        """
        raise NotImplementedError

    async def teardown(self) -> None:
        """Called once after the last task: when the file is changed or removed, or the host stops."""


def message_handlers(cls: type[BaseAgent]) -> list[tuple[str, str]]:
    """(type, name of the method) of each type that a method of the class is marked with by `on`."""
    marked = ((name, getattr(inspect.getattr_static(cls, name), MARK, ())) for name in dir(cls))
    return [(type_, name) for name, types in marked for type_ in types]


def agent_name(cls: type[BaseAgent], stem: str) -> str:
    """The agent's name: the class's own `name`, else made from the class's name, else from the file's
    `stem`."""
    if "name" in vars(cls) or cls.name:
        return cls.name
    return _kebab(cls.__name__.removesuffix("Agent")) or _kebab(stem)


def agent_description(cls: type[BaseAgent]) -> str:
    """`DESCRIPTION`, else the first paragraph of the class's docstring, in one line."""
    text = cls.DESCRIPTION or (inspect.cleandoc(cls.__doc__) if cls.__doc__ else "")
    return " ".join(text.partition("\n\n")[0].split())


def _kebab(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", text)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
