"""`pentad run`."""

from __future__ import annotations

from typing import Any

import click

from pentad_cli.completion import agent_names
from pentad_cli.options import NAMES, PAIR, SPAN, json_option
from pentad_cli.tree import command

EXAMPLES = """
pentad run "What stands out in these measurements?" --file data.csv --agents profiler,analyst,writer
pentad run "Brief me on this" -f report.md --strategy parallel --agents summarizer,critic --aggregator writer
pentad run "Deal with this" --file mail.txt --strategy adaptive --candidates analyst,summarizer,writer
pentad run "Deal with this" -f data.csv --first profiler --rule 'output.rows > 99 => analyst'
pentad run "Summarize" -f notes.txt --agents @summarize --json | jq -r .result
pentad run "Take your time" -f big.csv --agents profiler,writer --detach
"""
STRATEGIES = ("sequential", "parallel", "adaptive")


@command("run", examples=EXAMPLES, short_help="Have agents do something.")
@click.argument("instruction")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="Take a file along; may be repeated; - is standard input.",
)
@click.option(
    "-s",
    "--strategy",
    type=click.Choice(STRATEGIES),
    default=None,
    help="How agents follow each other. [default: sequential with --agents, adaptive without]",
)
@click.option(
    "-a",
    "--agents",
    type=NAMES,
    default="",
    metavar="A,B,C",
    shell_complete=agent_names,
    help="Who does it, in order; @CAPABILITY is whoever has it.",
)
@click.option(
    "--aggregator",
    default="",
    metavar="AGENT",
    shell_complete=agent_names,
    help="parallel: makes one result of all outputs.",
)
@click.option(
    "--min-successes",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="parallel: fewer are a failure. [default: 1]",
)
@click.option(
    "--candidates",
    type=NAMES,
    default="",
    metavar="A,B,C",
    shell_complete=agent_names,
    help="adaptive: who may take part. [default: all live agents]",
)
@click.option(
    "--first",
    default="",
    metavar="AGENT",
    shell_complete=agent_names,
    help="adaptive: who begins. [default: the router chooses]",
)
@click.option(
    "--router",
    default="",
    metavar="AGENT",
    shell_complete=agent_names,
    help="adaptive: who chooses where no rule does. [default: router]",
)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="'CEL => AGENT'",
    help="adaptive: who goes on when a condition on `output`, `text`, `agent` holds; no AGENT ends the run.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(min=0, max=256),
    default=0,
    metavar="N",
    help="adaptive: steps at most. [default: 8]",
)
@click.option("--timeout", type=SPAN, help="How long the run may take in all, such as 90s or 5m.")
@click.option("--step-timeout", type=SPAN, help="How long one attempt of a step may take. [default: 5m]")
@click.option(
    "--attempts",
    type=click.IntRange(min=1, max=100),
    default=None,
    metavar="N",
    help="Tries of each step. [default: 4, after 2, 4 and 8 s]",
)
@click.option(
    "--on-failure",
    type=click.Choice(["fail", "continue"]),
    default=None,
    help="What a step's failure means for the run.",
)
@click.option(
    "-p",
    "--param",
    "parameters",
    type=PAIR,
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting for the agents; may be repeated.",
)
@click.option(
    "--label",
    "labels",
    type=PAIR,
    multiple=True,
    metavar="KEY=VALUE",
    help="A field of your own; may be repeated.",
)
@click.option("--project", default="", help="The project it belongs to. [default: default]")
@click.option("-d", "--detach", is_flag=True, help="Start it, print its id, and do not wait.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@json_option("One JSON document on standard output: run_id, status, strategy, steps, result, usage, error, …")
def run(**given: Any) -> int:
    """Have agents do something: INSTRUCTION says what, --file with what, --agents by whom.

    The result goes to standard output, progress to standard error. Exit code 0: completed; 1: failed; 2:
    called in a way that cannot work, and nothing was started; 130: interrupted, which cancels the run.

    With --json, `result` and each step's `output` is a text or a JSON value, or, where there are several, a
    list of {name, content_type, value}; errors before the run are one JSON object on standard error.
    """
    from pentad_cli.run_start import start_run

    return start_run(given)
