"""`pentad llm`."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

from pentad_cli.commands.llm_batch import batch
from pentad_cli.failure import UsageProblem
from pentad_cli.instance import find_target
from pentad_cli.options import json_option
from pentad_cli.session import with_pentad
from pentad_cli.tree import group

MODEL = click.option(
    "-m", "--model", default="", help="Model, provider/model or alias. [default: the gateway's]"
)


@group("llm", examples='pentad llm models\npentad llm chat "Why is the sky blue?"')
def llm() -> None:
    """Ask the models behind the gateway."""


@llm.command(
    "chat",
    examples="""
    pentad llm chat "Why is the sky blue?"
    pentad llm chat < question.txt
    pentad llm chat                                  a conversation, on a terminal
    pentad llm chat "Name a colour" --model openai/gpt-5-mini --json
    """,
)
@click.argument("prompt", required=False)
@MODEL
@click.option("--system", default="", help="Instructions above all.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Tokens of each answer at most.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="Spread of the answers.")
@click.option("--seed", type=int, help="For answers that repeat, where the provider can.")
@json_option("No streaming: one JSON object with the text, the usage and who served it.")
def chat(prompt: str | None, as_json: bool, **given: Any) -> None:
    """Ask a model and print its answer as it is made.

    Without PROMPT it reads standard input; on a terminal it keeps up a conversation until Ctrl-D.
    """
    from pentad_cli import conversation

    request = {
        "model": given["model"],
        "system": given["system"],
        "max_output_tokens": given["max_tokens"],
        "temperature": given["temperature"],
        "seed": given["seed"],
    }
    if prompt is None and sys.stdin.isatty() and not as_json:
        conversation.talk(find_target().config(), request)
        return
    asked = _not_empty(prompt if prompt not in (None, "-") else _read_input())
    answer = conversation.answer_json if as_json else conversation.answer
    with_pentad(lambda pentad: answer(pentad, [("user", asked)], request))


@llm.command("models", examples="pentad llm models\npentad llm models --provider local --json")
@click.option("--provider", default="", help="Only this one's.")
@click.option("-a", "--all", "unavailable", is_flag=True, help="Also those whose provider is not set up.")
@json_option("One JSON object: the default model, and the models.")
def models(provider: str, unavailable: bool, as_json: bool) -> None:
    """List the models that can be asked, and names that stand for some; the default one has a star."""
    from pentad_cli.alias_document import alias_document, alias_row
    from pentad_cli.model_document import HEADINGS, model_document, model_row
    from pentad_cli.table import show_json, show_table
    from pentad_cli.terminal import say

    found = with_pentad(lambda pentad: pentad.llm.models(provider))
    default = found.default_model
    shown = [model for model in found.models if model.available or unavailable]
    aliases = [] if provider else list(found.aliases)
    if as_json:
        document = {"default": default, "models": [model_document(model) for model in shown]}
        show_json(document | {"aliases": [alias_document(alias) for alias in aliases]})
    else:
        rows = [model_row(model, default) for model in shown]
        show_table(HEADINGS, rows + [alias_row(alias, default) for alias in aliases], "no models")
    if found.catalog_problem:
        say(f"the gateway's catalog is not in force as it is now: {found.catalog_problem}")


@llm.command("count", examples='pentad llm count "How long is this?"\npentad llm count < report.md')
@click.argument("text", required=False)
@MODEL
@json_option("One JSON object.")
def count(text: str | None, model: str, as_json: bool) -> None:
    """Count the tokens of TEXT, or of standard input, as the model would."""
    from pentad_cli.table import show_json

    asked = _not_empty(text if text not in (None, "-") else _read_input())
    counted = with_pentad(lambda pentad: pentad.llm.count_tokens(asked, model=model))
    if as_json:
        show_json(
            {
                "input_tokens": counted.input_tokens,
                "estimated": counted.estimated,
                "model": counted.model,
                "provider": counted.provider,
            }
        )
    else:
        about = "about " if counted.estimated else ""
        print(f"{about}{counted.input_tokens} tokens for {counted.provider}/{counted.model}")


@llm.command(
    "embed",
    examples="""
    pentad llm embed "one text" "another"
    pentad llm embed --file texts.txt --model openai/text-embedding-3-small --json
    """,
)
@click.argument("texts", nargs=-1)
@click.option("-f", "--file", type=click.File("rb"), help="One text a line; `-` is standard input.")
@MODEL
@click.option("--dimensions", type=click.IntRange(min=1), help="Length of the vectors, where it can be had.")
@json_option("One JSON object: the vectors, the model and the usage.")
def embed(
    texts: tuple[str, ...], file: BinaryIO | None, model: str, dimensions: int | None, as_json: bool
) -> None:
    """Turn texts into vectors, and print one JSON array a line."""
    from pentad_cli.run_document import usage_document
    from pentad_cli.table import show_json, show_json_line

    lines = file.read().decode("utf-8-sig", errors="replace").splitlines() if file else []
    asked = [*texts, *(line for line in lines if line.strip())]
    if not asked:
        raise UsageProblem("there are no texts", 'Give some: pentad llm embed "one text" "another"')
    found = with_pentad(lambda pentad: pentad.llm.embed(asked, model=model, dimensions=dimensions))
    if not as_json:
        for vector in found.vectors:
            show_json_line(vector)
        return
    served = found.served
    document = {"model": served.model, "provider": served.provider, "vectors": found.vectors}
    show_json({**document, "usage": usage_document(found.usage)})


llm.add_command(batch)


@llm.command("usage", examples="pentad llm usage\npentad llm usage --run 0199c2a4-… --json")
@click.option("--run", "run_id", default="", metavar="RUN", help="Only calls of this run (its whole id).")
@click.option("--agent", default="", help="Only calls of this agent.")
@json_option("One JSON object: the total, and by model.")
def usage(run_id: str, agent: str, as_json: bool) -> None:
    """Show what calls to models cost."""
    from pentad_cli.run_document import usage_document
    from pentad_cli.table import show_json, show_table

    found = with_pentad(lambda pentad: pentad.llm.usage(run_id=run_id, agent=agent))
    by_model = [
        {"model": one.model, "provider": one.provider, **usage_document(one.usage), "failures": one.failures}
        for one in found.models
    ]
    if as_json:
        show_json({"total": usage_document(found.total), "models": by_model})
        return
    columns = ("provider", "model", "calls", "failures", "input_tokens", "output_tokens")
    headings = [column.replace("_", " ") for column in columns]
    show_table(headings, [[one[column] for column in columns] for one in by_model], "no calls yet")


@llm.command("limits", examples="pentad llm limits\npentad llm limits --json")
@json_option("One JSON object: the limits, money in dollars.")
def limits(as_json: bool) -> None:
    """Show the limits that calls to models are held to, and what is used of them."""
    from pentad_cli.model_document import LIMIT_HEADINGS, limit_document
    from pentad_cli.table import show_json, show_table

    found = [limit_document(one) for one in with_pentad(lambda pentad: pentad.llm.usage()).limits]
    if as_json:
        show_json({"limits": found})
        return
    rows = [[one[heading.replace(" ", "_")] for heading in LIMIT_HEADINGS] for one in found]
    show_table(LIMIT_HEADINGS, rows, "no limits are set")


def _read_input() -> str:
    return sys.stdin.buffer.read().decode("utf-8-sig", errors="replace")


def _not_empty(text: str) -> str:
    if not text.strip():
        raise UsageProblem("there is nothing to ask", 'Give a prompt: pentad llm chat "Why is the sky blue?"')
    return text
