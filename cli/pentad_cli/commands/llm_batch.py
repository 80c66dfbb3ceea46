"""`pentad llm batch`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from pentad_cli.options import json_option
from pentad_cli.session import take, with_pentad
from pentad_cli.terminal import say
from pentad_cli.tree import group

if TYPE_CHECKING:
    from pentad.llm.v1 import llm_pb2
    from pentad_client import Pentad


@group("batch", examples="pentad llm batch submit requests.jsonl --wait\npentad llm batch list")
def batch() -> None:
    """Hand in many requests at once, to be answered some time later."""


@batch.command(
    "submit",
    examples="""
    pentad llm batch submit requests.jsonl --model anthropic
    pentad llm batch submit requests.jsonl --wait && pentad llm batch results ID > answers.jsonl
    printf '{"custom_id": "%s", "prompt": "Name a fish."}\\n' a b c | pentad llm batch submit -
    """,
)
@click.argument("file", type=click.File("rb"))
@click.option("-m", "--model", default="", help="Model, provider/model or alias of requests that name none.")
@click.option("--fan-out", is_flag=True, help="Call by call, even where the provider has a batch API.")
@click.option("--request-id", default="", metavar="ID", help="Makes handing in again safe, for a day.")
@click.option("--wait", is_flag=True, help="Come back when it has ended.")
@json_option("One JSON object: the batch.")
def submit(file: BinaryIO, model: str, fan_out: bool, request_id: str, wait: bool, as_json: bool) -> int:
    """Hand in the requests of FILE, one JSON object a line; `-` is standard input.

    A line has a `custom_id`, and a `prompt` or `messages` with what else goes with them (model, system,
    max_tokens, temperature, seed, stop, json_schema); or a `body` as in OpenAI's batch files. One bad line
    refuses them all. Exit code 1 if it was waited for and not all were answered.
    """
    from pentad_cli.batch_document import read_requests

    items = read_requests(file.read())

    async def hand_in(pentad: Pentad) -> llm_pb2.Batch:
        found = await pentad.llm.batch_invoke(items, model=model, fan_out=fan_out, request_id=request_id)
        if wait:
            say(f"batch {found.batch_id} is under way")
            found = await pentad.llm.batch_ended(found.batch_id)
        return found

    found = with_pentad(hand_in)
    _show(found, as_json)
    return int(wait and found.succeeded < found.items)


@batch.command("list", examples="pentad llm batch list\npentad llm batch list --limit 0 --json")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="0 is all.")
@json_option("One JSON array.")
def list_batches(limit: int, as_json: bool) -> None:
    """List the batches, newest first."""
    from pentad_cli.batch_document import HEADINGS, batch_document, batch_row
    from pentad_cli.table import show_json, show_table

    async def read(pentad: Pentad) -> list[llm_pb2.Batch]:
        return await take(pentad.llm.batches(), limit)

    found = with_pentad(read)
    if as_json:
        show_json([batch_document(item) for item in found])
    else:
        show_table(HEADINGS, [batch_row(item) for item in found], "no batches")


@batch.command("show", examples="pentad llm batch show 01a20315-8cc1-… --json")
@click.argument("batch_id")
@json_option("One JSON object.")
def show(batch_id: str, as_json: bool) -> None:
    """Show how far a batch is."""
    _show(with_pentad(lambda pentad: pentad.llm.batch(batch_id)), as_json)


@batch.command(
    "results",
    examples="""
    pentad llm batch results 01a20315-8cc1-… > answers.jsonl
    pentad llm batch results 01a20315-8cc1-… | jq -r 'select(.error) | .custom_id'
    """,
)
@click.argument("batch_id")
@click.option("--json", "as_json", is_flag=True, help="The same: results are JSON, one a line.")
def results(batch_id: str, as_json: bool) -> None:
    """Print what came of the requests, one JSON object a line, in their order.

    Of a batch that still runs, those that are done.
    """
    from pentad_cli.batch_document import result_document
    from pentad_cli.table import show_json_line

    async def read(pentad: Pentad) -> None:
        async for result in pentad.llm.batch_results(batch_id):
            show_json_line(result_document(result))

    with_pentad(read)
    sys.stdout.flush()


@batch.command("cancel", examples="pentad llm batch cancel 01a20315-8cc1-…")
@click.argument("batch_id")
@json_option("The batch as it stands now, as one JSON object.")
def cancel(batch_id: str, as_json: bool) -> None:
    """Stop a batch: what is done stays, what is not begun is cancelled."""
    _show(with_pentad(lambda pentad: pentad.llm.cancel_batch(batch_id)), as_json)


def _show(found: llm_pb2.Batch, as_json: bool) -> None:
    from pentad_cli.batch_document import batch_document, batch_text
    from pentad_cli.table import show_json

    if as_json:
        show_json(batch_document(found))
    else:
        print(batch_text(found))
