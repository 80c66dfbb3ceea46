"""The most that a call can take, before it is made."""

from __future__ import annotations

from pentad_llm_gateway.completion import Completion, Usage, estimate_input
from pentad_llm_gateway.target import Target


def most(target: Target, completion: Completion) -> tuple[int, int]:
    """Tokens, and millionths of a dollar (0 where no price is known), that the call takes at most.

    The input is estimated, a little too high for most texts. The output is bounded by the request, the model,
    or the provider.
    """
    given = estimate_input(completion)
    answers = completion.purpose == "answer"
    output = target.provider.most_output_tokens(target.model, completion) if answers else 0
    cost = target.entry.cost_micros(Usage(input_tokens=given, output_tokens=output))
    return given + output, cost or 0
