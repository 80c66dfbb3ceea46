"""The writer: one report from what the others found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pentad_agents import AgentError, BaseAgent, Context, Output, StepOutput, Task
from pentad_agents.material import documents_of, gather, json_of
from pentad_agents.prose.phrasing import Phrased, phrase
from pentad_agents.prose.points import points_of
from pentad_agents.prose.sentences import clip, sentences
from pentad_agents.prose.summary import bullets, summarize_document
from pentad_agents.tables.findings import findings
from pentad_agents.tables.part import profile_part
from pentad_agents.tables.rendering import profile_markdown

LEAD, FINDINGS, ISSUES = 3, 10, 8
LAST = ("To be checked", "The data")  # sections that come after all others
MAX_FOREIGN = 6000  # characters taken from an agent whose output the writer does not know


class Report:
    """What the report will say, section by section. `lead` holds the sentences that matter most."""

    def __init__(self) -> None:
        self.lead: list[str] = []
        self.sections: list[tuple[str, str]] = []
        self.missing: list[str] = []
        self.notes: list[str] = []

    def add(self, heading: str, body: str) -> None:
        """Another section; an empty one is left out, one of the same heading is continued."""
        if not body.strip():
            return
        for index, (known, text) in enumerate(self.sections):
            if known == heading:
                if body.strip() not in text:
                    self.sections[index] = (known, f"{text.rstrip()}\n\n{body.strip()}")
                return
        self.sections.append((heading, body.strip()))


class Writer(BaseAgent):
    """Writes the final report in Markdown from what other agents found, with what failed or is missing. Takes
    no figure that they do not have; a model's opening words are checked and marked."""

    CAPABILITIES = ("write", "compose-report", "aggregate")
    TAGS = ("report", "writer", "final", "markdown", "answer", "compose")

    async def execute(self, task: Task, ctx: Context) -> Output:
        """Composes the report. Without earlier steps it reads the inputs itself. Raises AgentError
        NOTHING_TO_WRITE."""
        report = Report()
        for step in task.previous:
            await self._take(report, step)
        if not report.sections:
            await self._read_inputs(report, task, ctx)
        ctx.progress(0.4, "wording the opening")
        request = f"Answer in your opening: {task.instruction}"
        worded = await phrase(ctx, request, "\n".join(report.lead), small=True)
        return Output.markdown(_compose(task, report, worded), "report")

    async def _take(self, report: Report, step: StepOutput) -> None:
        """What one step said, in the form the report has for it."""
        if step.failed:
            report.missing.append(f"**{step.agent}** ({step.step}) failed: {step.message or step.reason}")
        elif found := await json_of(step, "findings"):
            texts = [str(finding["text"]) for finding in found["findings"]]
            report.lead += _best_of_each(found["findings"])
            report.add("Findings", bullets(texts[:FINDINGS]) or "Nothing stands out.")
            self._take_overviews(report, found)
            report.notes += [str(note) for note in found.get("notes", ())]
        elif found := await json_of(step, "summary"):
            report.lead[:0] = [str(sentence) for sentence in found["summary"][:LEAD]]
            report.add("Summary", bullets([str(sentence) for sentence in found["summary"]]))
            self._take_overviews(report, found)
            report.notes += [str(note) for note in found.get("notes", ())]
        elif found := await json_of(step, "critique"):
            report.add("To be checked", _issues(found["critique"]))
        elif found := await json_of(step, "correlations"):
            report.add("The data", _without_heading(profile_markdown(found)))
            if not any(heading == "Findings" for heading, _ in report.sections):
                report.lead += [finding.text for finding in findings(found)[:LEAD]]
        else:
            await self._take_foreign(report, step)

    def _take_overviews(self, report: Report, found: dict[str, Any]) -> None:
        for overview in found.get("overviews", ()):
            report.add("The data", _without_heading(str(overview)))

    async def _take_foreign(self, report: Report, step: StepOutput) -> None:
        documents = await documents_of(step)
        texts = [document for document in documents if document.data is None] or documents
        for document in texts:
            body = _without_heading(document.text)
            cut = f"{body[:MAX_FOREIGN]}\n\n*… the rest is in the output of step {step.step}.*"
            report.add(step.agent, body if len(body) <= MAX_FOREIGN else cut)
            report.lead += [clip(sentence.text) for sentence in sentences(body)[:1]]

    async def _read_inputs(self, report: Report, task: Task, ctx: Context) -> None:
        try:
            material = await gather(task)
        except AgentError as error:
            silent = "the steps before found no text" if task.previous and not task.inputs else error.message
            why = "; ".join(report.missing) or silent
            raise AgentError("NOTHING_TO_WRITE", f"there is nothing to write a report from: {why}") from error
        report.notes += material.problems
        for document in material.documents:
            summary = await asyncio.to_thread(summarize_document, document, task.instruction)
            found = await asyncio.to_thread(points_of, document.text)
            report.lead += summary.sentences[:LEAD]
            report.add("Summary", bullets(summary.sentences))
            report.add("Points", bullets([point.text for point in found[:FINDINGS]]))
        for part in material.tables:
            profile = await profile_part(part, ctx)
            texts = [finding.text for finding in findings(profile)[:FINDINGS]]
            report.lead += texts[:LEAD]
            report.add("Findings", bullets(texts))
            report.add("The data", _without_heading(profile_markdown(profile)))


def _compose(task: Task, report: Report, worded: Phrased) -> str:
    """The whole report."""
    lines = [f"# {_title(task.instruction)}", ""]
    if worded.text:
        lines += [worded.text, "", f"*{worded.note}*", ""]
    elif report.lead:
        lines += ["In short:", "", bullets(list(dict.fromkeys(report.lead))[:LEAD]), ""]
    if len(report.missing) + len(report.sections) > 1 or report.missing or not worded.text:
        for heading, body in sorted(report.sections, key=lambda section: section[0] in LAST):
            lines += [f"## {heading}", "", body, ""]
    if report.missing:
        lines += ["## What is missing", "", bullets(report.missing), ""]
    notes = [*report.notes, *([worded.note] if worded.note and not worded.text else [])]
    lines += ["---", "", *[f"*{note}*\n" for note in dict.fromkeys(notes)], f"*{_origin(task)}*"]
    return "\n".join(lines).rstrip() + "\n"


def _best_of_each(found: Sequence[dict[str, Any]]) -> list[str]:
    """The first finding of each of the first kinds."""
    best: dict[str, str] = {}
    for finding in found:
        best.setdefault(finding["kind"], str(finding["text"]))
    return list(best.values())[:LEAD]


def _title(instruction: str) -> str:
    title = " ".join(instruction.split()) or "Report"
    return title if len(title) <= 100 else title[:99] + "…"


def _origin(task: Task) -> str:
    agents = dict.fromkeys(step.agent for step in task.previous if not step.failed)
    names = ", ".join(dict.fromkeys(part.name for part in task.inputs if part.name))
    made = f"Put together from the work of {', '.join(agents)}" if agents else "Read by the writer itself"
    return f"{made}{f', on {names}' if names else ''}. Quotations and figures are taken over as they are."


def _issues(issues: Sequence[dict[str, Any]]) -> str:
    lines = []
    for issue in issues[:ISSUES]:
        quote = f" “{issue['quote']}”" if issue.get("quote") else ""
        lines.append(f"**{issue['kind']}**: {issue['text']}{quote}")
    return bullets(lines)


def _without_heading(markdown: str) -> str:
    """The text without its first heading, and the other headings one level down, to stand within a
    section."""
    lines = markdown.strip().splitlines()
    first = lines[0].lstrip("# ") if lines and lines[0].startswith("#") else ""
    rest = lines[1:] if first else lines
    body = "\n".join(f"#{line}" if line.startswith("##") else line for line in rest).strip()
    return f"**{first}**\n\n{body}" if first and "|" in body else body
