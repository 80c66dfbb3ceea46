"""Lets a model put checked facts into words, and keeps only what the facts cover."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pentad_agents.context import Answer, Context
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


async def phrase(ctx: Context, request: str, facts: str, *, small: bool = False) -> Phrased:
    """Asks the model for a few sentences on `facts`, and leaves out those that say more than the facts.

    `small`: asks the built-in model, too, for one sentence whose every word is then held against the facts.
    Never fails: without a model, or with one that does not answer, the text is empty and the note says why.
    """
    if not facts:
        return Phrased("", "")
    try:
        async with asyncio.timeout(SECONDS):
            model = await ctx.llm.default_model()
            if model.small and not small:
                return Phrased("", "")
            answer = await _ask(ctx, request, facts, model.small)
    except Exception as error:
        return Phrased("", why_without(error))
    kept, dropped = keep_grounded(_whole(answer), Source.of([facts]), strict=model.small)
    by = f"{answer.provider}/{answer.model}".strip("/") or "the model"
    if not kept:
        return Phrased("", f"The wording of {by} was left out: the facts do not cover it.")
    left_out = f"; what they do not cover ({len(dropped)}) was left out" if dropped else ""
    return Phrased(kept, f"Worded by {by}; numbers and names checked against the facts{left_out}.")


async def _ask(ctx: Context, request: str, facts: str, small: bool) -> Answer:
    length = "one short sentence" if small else "three to five sentences"
    return await ctx.llm.invoke(
        f"Facts:\n{facts[: SMALL_FACTS if small else BIG_FACTS]}\n\n{request} Write {length}.",
        system=SYSTEM,
        max_tokens=SMALL_MAX_TOKENS if small else MAX_TOKENS,
        temperature=0.0,
        seed=1,
    )


def _whole(answer: Answer) -> str:
    """The answer without a last sentence that was cut."""
    text = answer.text.strip()
    return text[: max(text.rfind(mark) for mark in ".!?") + 1] if answer.finish_reason == "length" else text


def why_without(error: Exception) -> str:
    """A sentence on why there are no words of a model."""
    if isinstance(error, AgentError) and error.reason == "LLM_OFF":
        return ""
    if isinstance(error, TimeoutError):
        return "Without a model's wording: it did not answer in time."
    reason = getattr(error, "reason", type(error).__name__)
    return f"Without a model's wording: the call failed ({reason})."
