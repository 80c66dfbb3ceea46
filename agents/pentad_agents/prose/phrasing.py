"""Lets a model put checked facts into words, and keeps only what the facts cover."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pentad_agents.context import Context
from pentad_agents.errors import AgentError
from pentad_agents.prose.grounding import Source, keep_grounded

MAX_TOKENS = 220
SMALL_MAX_TOKENS = 60
SMALL_FACTS = 1200  # characters given to the built-in model: about 300 tokens
BIG_FACTS = 24_000
SECONDS = 20.0
SYSTEM = (
    "You put given facts into plain words. Use only the facts given: no other numbers, names or claims. "
    "Give no advice. Answer with the text alone, without a heading or a list."
)


@dataclass(frozen=True, slots=True)
class Phrased:
    """Words by a model that the facts cover (empty if none are left), and a note on how they came about."""

    text: str
    note: str


async def phrase(ctx: Context, request: str, facts: str, sources: Sequence[str] = ()) -> Phrased:
    """Asks the model for a few sentences on `facts`. Sentences that say more than the facts and `sources` are
    left out.

    Never fails: without a model, or with one that does not answer, the text is empty and the note says why.
    """
    try:
        async with asyncio.timeout(SECONDS):
            model = await ctx.llm.default_model()
            length = "one short sentence" if model.small else "three to five sentences"
            given = facts[: SMALL_FACTS if model.small else BIG_FACTS]
            answer = await ctx.llm.invoke(
                f"Facts:\n{given}\n\n{request} Write {length}.",
                system=SYSTEM,
                max_tokens=SMALL_MAX_TOKENS if model.small else MAX_TOKENS,
                temperature=0.0,
                seed=1,
            )
    except Exception as error:
        return Phrased("", why_without(error))
    text = answer.text.strip()
    if answer.finish_reason == "length":  # the last sentence is cut
        text = text[: max(text.rfind(mark) for mark in ".!?") + 1]
    kept, dropped = keep_grounded(text, Source.of([facts, *sources]), strict=model.small)
    by = f"{answer.provider}/{answer.model}".strip("/") or "the model"
    if not kept:
        return Phrased("", f"What {by} wrote was left out: the facts do not cover it.")
    left_out = f"; what they do not cover ({len(dropped)}) was left out" if dropped else ""
    return Phrased(kept, f"Worded by {by}; numbers and names checked against the facts{left_out}.")


def why_without(error: Exception) -> str:
    """A sentence on why there are no words of a model."""
    if isinstance(error, AgentError) and error.reason == "LLM_OFF":
        return ""
    if isinstance(error, TimeoutError):
        return "Without a model's wording: it did not answer in time."
    reason = getattr(error, "reason", type(error).__name__)
    return f"Without a model's wording: the call failed ({reason})."
