"""`pentad messages`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pentad_cli.completion import agent_names, run_ids
from pentad_cli.failure import Exit, UsageProblem
from pentad_cli.options import PAIR, SPAN, json_option, limit_option
from pentad_cli.session import with_pentad
from pentad_cli.terminal import say
from pentad_cli.tree import group

if TYPE_CHECKING:
    from pentad.bus.v1 import bus_pb2
    from pentad_client import Pentad

_PAGE = 1000
PRIORITIES = ("low", "normal", "high", "critical")
EXAMPLES = """
pentad messages                              the newest ones
pentad messages --run last
pentad messages --agent writer --type pentad.task --json
pentad messages --follow                     as they come, until Ctrl-C
pentad messages --since 2026-01-31T08:00:00 --until 2026-01-31T09:00:00
pentad messages send shop '{"item": 7}' --type order
"""
SEND_EXAMPLES = """
pentad messages send shop '{"item": 7}' --type order
pentad messages send --topic orders.eu.new --file order.json --type order --priority high
pentad messages send --broadcast "the lights go out at six" --header floor=3
pentad messages send shop "take a break" --delay 10m --ttl 1h
"""

DEAD_EXAMPLES = """
pentad messages dead
pentad messages dead 0199c2a4-…              one of them, with its attempts
pentad messages dead --agent writer --json
"""
REDRIVE_EXAMPLES = """
pentad messages redrive 0199c2a4-…
pentad messages redrive --agent writer
"""
PURGE_EXAMPLES = """
pentad messages purge 0199c2a4-…
pentad messages purge --all
"""
REPLAY_EXAMPLES = """
pentad messages replay writer --run last
pentad messages replay auditor --type order --since 2026-01-31T08:00:00
"""
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
since_option = click.option(
    "--since",
    type=_TIME,
    metavar="TIME",
    help="Taken at or after this time, such as 2026-01-31T08:00:00, in UTC.",
)
until_option = click.option("--until", type=_TIME, metavar="TIME", help="Taken before this time, in UTC.")


class Wanted(NamedTuple):
    """Which messages; empty fields match all."""

    run_id: str
    agent: str
    type: str
    start: datetime | None = None
    end: datetime | None = None


@group(
    "messages",
    examples=EXAMPLES,
    invoke_without_command=True,
    short_help="Show the messages between agents and services.",
)
@click.option(
    "--run",
    "run_id",
    default="",
    metavar="RUN",
    shell_complete=run_ids,
    help="Of this run only: its id, the beginning of one, or `last`.",
)
@click.option(
    "--agent", default="", metavar="NAME", shell_complete=agent_names, help="To or from this agent only."
)
@click.option("--type", "kind", default="", metavar="TYPE", help="Of this type only, such as pentad.task.")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with new ones until Ctrl-C; with --json one object a line."
)
@since_option
@until_option
@limit_option(50)
@json_option("One JSON array, newest first.")
@click.pass_context
def messages(
    context: click.Context,
    run_id: str,
    agent: str,
    kind: str,
    follow: bool,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the messages that agents and services sent each other, newest last."""
    if context.invoked_subcommand is not None:
        return
    wanted = Wanted(run_id, agent, kind, _utc(since), _utc(until))
    if follow:
        if since or until:
            raise UsageProblem("--follow shows what comes from now on", "Leave out --since and --until.")
        with_pentad(lambda pentad: _follow(pentad, wanted, as_json))
        return
    from pentad_cli.message_document import HEADINGS, message_document, message_row
    from pentad_cli.table import show_json, show_table

    found = with_pentad(lambda pentad: _read(pentad, wanted, limit))
    if as_json:
        show_json([message_document(record.message) for record in found])
    else:
        show_table(HEADINGS, [message_row(record.message) for record in reversed(found)], "no messages")


@messages.command("send", examples=SEND_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[RECIPIENT] [VALUE]")
@click.option(
    "--topic", default="", metavar="TOPIC", help="To whoever subscribed to it, instead of a RECIPIENT."
)
@click.option("--broadcast", is_flag=True, help="To every agent, instead of a RECIPIENT.")
@click.option("-f", "--file", metavar="FILE", help="Take the value from a file; - is standard input.")
@click.option("--type", "kind", default="message", show_default=True, metavar="TYPE", help="What it is.")
@click.option("--content-type", default="", help="Its media type. [default: JSON if it is, else text]")
@click.option("--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True)
@click.option("--header", "headers", type=PAIR, multiple=True, help="For filters; may be given again.")
@click.option(
    "--run", "run_id", default="", metavar="RUN", shell_complete=run_ids, help="It belongs to this run."
)
@click.option("--correlation-id", default="", metavar="ID", help="What it answers.")
@click.option("--reply-to", default="", metavar="AGENT", help="Who gets the answer.")
@click.option("--delay", type=SPAN, help="Hold it back this long, such as 10m.")
@click.option("--ttl", type=SPAN, help="Not worth delivering after this long.")
@click.option("--best-effort", is_flag=True, help="It may be lost.")
@click.option("--id", "message_id", default="", metavar="ID", help="Its id: sent again, it is stored once.")
@json_option("Its id and whether it was a repeat, as one JSON object.")
def send(words: tuple[str, ...], file: str | None, as_json: bool, **given: Any) -> None:
    """Send VALUE, or what is in a file, to the agent RECIPIENT (or `agent/instance`), a topic, or all."""
    from pentad_cli.message_request import message_request
    from pentad_cli.table import show_json

    async def publish(pentad: Pentad) -> bus_pb2.PublishResponse:
        from pentad_cli.run_lookup import find_run

        if given["run_id"]:
            given["run_id"] = (await find_run(pentad, given["run_id"])).run_id
        return await pentad.bus.publish(message_request(words, file, **given))

    answer = with_pentad(publish)
    if as_json:
        show_json({"message_id": answer.message_id, "duplicate": answer.duplicate})
    else:
        print(answer.message_id)
        if answer.duplicate:
            say("it was stored before and is not stored again")


@messages.command("dead", examples=DEAD_EXAMPLES)
@click.argument("dead_letter_id", required=False, default="", metavar="[ID]")
@click.option("--agent", default="", metavar="NAME", shell_complete=agent_names, help="Of this inbox only.")
@limit_option(50)
@json_option("One JSON array, newest first; of one dead letter, one object.")
def dead(dead_letter_id: str, agent: str, limit: int, as_json: bool) -> None:
    """List messages that were given up on, with the reason; with an ID, one and how its attempts ended."""
    from pentad_cli.message_document import DEAD_HEADINGS, dead_letter_document, dead_letter_row
    from pentad_cli.table import show_json, show_table

    if dead_letter_id:
        _show_dead(dead_letter_id, as_json)
        return

    async def read(pentad: Pentad) -> list[bus_pb2.DeadLetter]:
        found: list[bus_pb2.DeadLetter] = []
        token = ""
        while True:
            page = await pentad.bus.list_dead_letters(
                agent, page_size=_page_size(limit, len(found)), page_token=token
            )
            found += page.dead_letters
            token = page.next_page_token
            if not token or 0 < limit <= len(found):
                return found

    found = with_pentad(read)
    if as_json:
        show_json([dead_letter_document(letter) for letter in found])
    else:
        show_table(DEAD_HEADINGS, [dead_letter_row(letter) for letter in found], "no dead letters")


def _show_dead(dead_letter_id: str, as_json: bool) -> None:
    from pentad_cli.message_document import (
        ATTEMPT_HEADINGS,
        DEAD_HEADINGS,
        attempt_row,
        dead_letter_document,
        dead_letter_row,
    )
    from pentad_cli.table import show_json, show_table

    letter = with_pentad(lambda pentad: pentad.bus.get_dead_letter(dead_letter_id))
    if as_json:
        show_json(dead_letter_document(letter))
        return
    show_table(DEAD_HEADINGS, [dead_letter_row(letter)], "")
    show_table(ATTEMPT_HEADINGS, [attempt_row(one) for one in letter.history], "it was never delivered")


@messages.command("redrive", examples=REDRIVE_EXAMPLES)
@click.argument("dead_letter_ids", nargs=-1, metavar="[ID]...")
@click.option("--agent", default="", metavar="NAME", shell_complete=agent_names, help="All of this inbox.")
@click.option("--all", "everything", is_flag=True, help="All there are.")
def redrive(dead_letter_ids: tuple[str, ...], agent: str, everything: bool) -> int:
    """Put dead letters back into the inbox they came from. Exit code 1 if one of the IDs is none."""
    _check_choice(dead_letter_ids, agent, everything)
    count = with_pentad(lambda pentad: pentad.bus.redrive(dead_letter_ids, recipient=agent, all=everything))
    print(f"{count} put back")
    return Exit.OK if count >= len(dead_letter_ids) else Exit.FAILED


@messages.command("purge", examples=PURGE_EXAMPLES)
@click.argument("dead_letter_ids", nargs=-1, metavar="[ID]...")
@click.option("--agent", default="", metavar="NAME", shell_complete=agent_names, help="All of this inbox.")
@click.option("--all", "everything", is_flag=True, help="All there are.")
def purge(dead_letter_ids: tuple[str, ...], agent: str, everything: bool) -> int:
    """Remove dead letters for good; the history keeps the messages. Exit code 1 if one of the IDs is none."""
    _check_choice(dead_letter_ids, agent, everything)
    count = with_pentad(lambda pentad: pentad.bus.purge(dead_letter_ids, recipient=agent, all=everything))
    print(f"{count} removed")
    return Exit.OK if count >= len(dead_letter_ids) else Exit.FAILED


def _check_choice(dead_letter_ids: tuple[str, ...], agent: str, everything: bool) -> None:
    if bool(dead_letter_ids) + bool(agent) + everything != 1:
        raise UsageProblem(
            "name either dead letters, an --agent or --all", "`pentad messages dead` lists them."
        )


@messages.command("replay", examples=REPLAY_EXAMPLES)
@click.argument("inbox", shell_complete=agent_names)
@click.option(
    "--run", "run_id", default="", metavar="RUN", shell_complete=run_ids, help="Messages of this run only."
)
@click.option("--agent", default="", metavar="NAME", shell_complete=agent_names, help="To or from it only.")
@click.option("--type", "kind", default="", metavar="TYPE", help="Of this type only.")
@since_option
@until_option
def replay(
    inbox: str, run_id: str, agent: str, kind: str, since: datetime | None, until: datetime | None
) -> None:
    """Put messages of the history once more into an agent's INBOX, oldest first."""
    wanted = Wanted(run_id, agent, kind, _utc(since), _utc(until))

    async def put(pentad: Pentad) -> int:
        chosen, count, after = await _filter(pentad, wanted), 0, ""
        if not chosen.HasField("end_time"):
            chosen.end_time.FromDatetime(datetime.now(UTC))
        while True:
            answer = await pentad.bus.replay(inbox, chosen, after=after)
            count, after = count + answer.replayed, answer.next_cursor
            if not after:
                return count

    print(f"{with_pentad(put)} replayed")


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


@messages.command("queues", examples="pentad messages queues\npentad messages queues --json")
@json_option("One JSON array.")
def queues(as_json: bool) -> None:
    """Show how full each agent's inbox is."""
    from pentad_cli.table import show_json, show_table

    found = with_pentad(lambda pentad: pentad.bus.queue_stats())
    documents = [_queue(one) for one in found]
    if as_json:
        show_json(documents)
        return
    headings = [key.replace("_", " ") for key in documents[0]] if documents else ["inbox"]
    show_table(headings, [list(document.values()) for document in documents], "no inboxes")


async def _read(pentad: Pentad, wanted: Wanted, limit: int) -> list[bus_pb2.MessageRecord]:
    """The newest ones that are wanted, newest first; all for a limit of 0."""
    found: list[bus_pb2.MessageRecord] = []
    chosen, token = await _filter(pentad, wanted), ""
    while True:
        size = _page_size(limit, len(found))
        page = await pentad.bus.list_messages(chosen, page_size=size, page_token=token)
        found += page.messages
        token = page.next_page_token
        if not token or 0 < limit <= len(found):
            return found


async def _follow(pentad: Pentad, wanted: Wanted, as_json: bool) -> None:
    from pentad_cli.message_document import message_document, message_row
    from pentad_cli.table import show_json_line
    from pentad_cli.terminal import plain

    async for record in pentad.bus.tail(await _filter(pentad, wanted)):
        if as_json:
            show_json_line(message_document(record.message))
        else:
            print("\t".join(plain(str(cell)) for cell in message_row(record.message)), flush=True)


async def _filter(pentad: Pentad, wanted: Wanted) -> bus_pb2.MessageFilter:
    from pentad_cli.run_lookup import find_run
    from pentad_client.bus import message_filter

    run_id = (await find_run(pentad, wanted.run_id)).run_id if wanted.run_id else ""
    return message_filter(
        run_id=run_id, agent=wanted.agent, type=wanted.type, start=wanted.start, end=wanted.end
    )


def _page_size(limit: int, had: int) -> int:
    return min(_PAGE, limit - had) if limit else _PAGE


def _queue(stats: bus_pb2.QueueStats) -> dict[str, Any]:
    return {
        "inbox": stats.recipient,
        "queued": stats.queued,
        "in_flight": stats.in_flight,
        "delayed": stats.delayed,
        "bytes": stats.bytes,
        "oldest_seconds": round(stats.oldest_age.ToNanoseconds() / 1e9, 3),
        "consumers": stats.consumers,
        "dead_letters": stats.dead_letters,
        "dropped": stats.dropped,
        "most": stats.max_messages,
    }
