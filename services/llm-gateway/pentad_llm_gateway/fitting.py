"""A request made to fit the model that will be asked."""

from __future__ import annotations

from dataclasses import replace

from pentad_llm_gateway.completion import Completion, Image, Sampling, without
from pentad_llm_gateway.errors import invalid_request
from pentad_llm_gateway.target import Target


def fit(target: Target, completion: Completion) -> tuple[Completion, tuple[str, ...]]:
    """The request as the model can take it, and the fields of it that were left out.

    What shapes the answer only a little is left out; what the caller relies on is refused.
    Raises InvalidArgument INVALID_REQUEST.
    """
    entry, name = target.entry, target.provider.name
    if completion.purpose == "embedding":
        if not entry.embeddings:
            raise invalid_request(name, f"{target.model} makes no embeddings", "model")
        return completion, ()
    if not entry.chat:
        raise invalid_request(name, f"{target.model} makes embeddings and no answers", "completion.model")
    if completion.tools and completion.tool_choice.mode != "none" and not entry.tools:
        raise invalid_request(name, f"{target.model} cannot call tools", "completion.tools")
    if not entry.images and any(
        isinstance(part, Image) for item in completion.messages for part in item.parts
    ):
        raise invalid_request(name, f"{target.model} takes no pictures", "completion.messages")
    if completion.response_format and completion.response_format.schema and not entry.json_schema:
        raise invalid_request(
            name, f"{target.model} cannot keep to a JSON Schema", "completion.response_format"
        )
    left_out = _left_out(target, completion.sampling)
    hints = {key: value for key, value in completion.hints.items() if key in target.provider.takes_hints}
    if not left_out and len(hints) == len(completion.hints):
        return completion, ()
    fitted = replace(completion, sampling=without(completion.sampling, left_out), hints=hints)
    unknown = sorted(completion.hints.keys() - hints.keys())
    return fitted, (*(f"sampling.{field}" for field in left_out), *unknown)


def _left_out(target: Target, sampling: Sampling) -> tuple[str, ...]:
    fields: list[str] = []
    if not target.entry.sampling:
        fields += [name for name in ("temperature", "top_p") if getattr(sampling, name) is not None]
    if sampling.seed is not None and not target.provider.takes_seed:
        fields.append("seed")
    if sampling.reasoning_effort and not target.entry.reasoning:
        fields.append("reasoning_effort")
    return tuple(fields)
