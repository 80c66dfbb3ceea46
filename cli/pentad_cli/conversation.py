"""Talking to a model: one answer, or many on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from pentad.llm.v1 import llm_pb2
from pentad_cli.run_document import usage_document
from pentad_cli.table import show_json
from pentad_cli.terminal import say
from pentad_client import ClientConfig, Pentad
from pentad_client.errors import PentadError

Turn = tuple[str, str]


async def answer(pentad: Pentad, turns: Sequence[Turn], request: Mapping[str, Any]) -> str:
    """Prints an answer as it comes, then, on standard error, who gave it; returns its text."""
    async with pentad.llm.stream(messages=turns, **request) as stream:
        async for event in stream:
            if isinstance(event, llm_pb2.Delta):
                print(event.text, end="", flush=True)
    print(flush=True)
    if stream.served and stream.usage:
        cut = " (cut at --max-tokens)" if stream.finish_reason == "length" else ""
        spent = stream.usage.input_tokens + stream.usage.output_tokens
        say(f"[{stream.served.provider}/{stream.served.model}, {spent} tokens{cut}]")
    return stream.text


async def answer_json(pentad: Pentad, turns: Sequence[Turn], request: Mapping[str, Any]) -> str:
    """Prints an answer as one JSON object; returns its text."""
    got = await pentad.llm.invoke(messages=turns, **request)
    show_json(
        {
            "text": got.text,
            "finish_reason": got.finish_reason,
            "model": got.served.model,
            "provider": got.served.provider,
            "call_id": got.served.call_id,
            "usage": usage_document(got.usage),
        }
    )
    return got.text


def talk(config: ClientConfig, request: Mapping[str, Any]) -> None:
    """Asks and answers on a terminal until Ctrl-D. Ctrl-C cuts an answer; a failed one does not end it."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  input() then edits lines and knows earlier ones
    turns: list[Turn] = []
    say("Ask; Ctrl-D ends.")
    with asyncio.Runner() as runner:
        pentad = Pentad(config)
        try:
            while asked := _question():
                said = _answered(runner, pentad, [*turns, ("user", asked)], request)
                turns += [("user", asked), ("assistant", said)] if said else []
        finally:
            runner.run(pentad.close())


def _question() -> str:
    """What the person asks next; "" at the end."""
    try:
        while not (asked := input("> ").strip()):
            pass
    except EOFError:
        print()
        return ""
    return asked


def _answered(
    runner: asyncio.Runner, pentad: Pentad, turns: Sequence[Turn], request: Mapping[str, Any]
) -> str:
    try:
        return runner.run(answer(pentad, turns, request))
    except KeyboardInterrupt:
        print()
    except PentadError as error:
        say(f"error: {error}")
    return ""
