"""The critic: what is wrong with a text or a table."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pentad_agents import BaseAgent, Context, Output, Task
from pentad_agents.material import Document, documents_of, gather, json_of
from pentad_agents.prose.critique import Issue, critique, readability
from pentad_agents.prose.grounding import Source
from pentad_agents.prose.sentences import clip
from pentad_agents.prose.summary import bullets
from pentad_agents.tables.findings import findings
from pentad_agents.tables.part import profile_part

DOUBTS = {
    "invalid values": 8,
    "duplicates": 7,
    "format": 7,
    "outliers": 6,
    "gaps": 6,
    "missing values": 5,
    "spelling": 4,
    "constant": 3,
}
"""What a profile finds that speaks against the data, with its weight as an issue."""

Subject = tuple[str, list[Issue], Mapping[str, float]]
"""What was checked, its issues, and how readable it is."""


class Critic(BaseAgent):
    """Checks a text for contradictions, unsupported claims, vague words, missing parts and readability, a
    report against its sources, and a table for doubtful data. Works by rules and quotes each place; needs no
    model."""

    CAPABILITIES = ("critique", "review", "check-facts")
    TAGS = ("critic", "quality", "feedback", "proofread", "readability", "text", "markdown", "data-quality")

    async def execute(self, task: Task, ctx: Context) -> list[Output]:
        """Checks what the last text-writing step before said against the inputs, or the inputs themselves."""
        subjects: list[Subject] = []
        notes: list[str] = []
        if written := await _written(task):
            source = await _source(task, written)
            subjects = [await asyncio.to_thread(_of_text, document, source) for document in written]
        elif profiles := await _profiled(task):
            subjects = [(profile["file"] or "the table", _of_profile(profile), {}) for profile in profiles]
        else:
            material = await gather(task)
            notes = material.problems
            subjects = [await asyncio.to_thread(_of_document, document) for document in material.documents]
            for part in material.tables:
                subjects.append((part.name or "the table", _of_profile(await profile_part(part, ctx)), {}))
        markdown = "\n".join(_markdown(name, issues, figures) for name, issues, figures in subjects)
        answer = {
            "critique": [issue.as_json() for _, issues, _ in subjects for issue in issues],
            "readability": {name: figures for name, _, figures in subjects if figures},
            "notes": notes,
        }
        text = f"## Critique\n\n{markdown}" + "".join(f"\n*{note}*\n" for note in notes)
        return [Output(answer, "critique"), Output.markdown(text, "critique")]


async def _written(task: Task) -> list[Document]:
    """The texts of the last step that wrote prose for people; the critic's own and profiles are none."""
    for step in reversed(task.previous):
        if not step.failed and step.agent not in ("critic", "profiler", "router"):
            texts = [document for document in await documents_of(step) if document.data is None]
            if texts:
                return texts
    return []


async def _profiled(task: Task) -> list[dict[str, Any]]:
    """The profiles that the steps before made, for a task that has no inputs of its own."""
    found = [] if task.inputs else [await json_of(step, "correlations") for step in task.previous]
    return [profile for profile in found if profile is not None]


async def _source(task: Task, written: list[Document]) -> Source | None:
    """All numbers that the inputs and the other steps have; None if there is nothing to check against."""
    texts: list[str] = [task.instruction]
    if task.inputs:
        texts += [document.text for document in (await gather(task)).documents]
    for step in task.previous:
        texts += [document.text for document in await documents_of(step) if document not in written]
    return Source.of(texts) if len(texts) > 1 else None


def _of_text(document: Document, source: Source | None = None) -> Subject:
    return document.name, critique(document.text, source), readability(document.text)


def _of_document(document: Document) -> Subject:
    name, issues, figures = _of_text(document)
    if document.data is None:
        return name, issues, figures
    lines = [line.removeprefix("- ").rstrip() for line in document.text.splitlines()]
    empty = [line.removesuffix(":") for line in lines if line.endswith(":")]
    missing = [Issue("empty fields", 5, f"Without a value: {clip(', '.join(empty[:8]))}.")] if empty else []
    return name, [*missing, *issues], figures


def _of_profile(profile: Mapping[str, Any]) -> list[Issue]:
    doubts = [finding for finding in findings(profile) if finding.kind in DOUBTS]
    issues = [Issue(finding.kind, DOUBTS[finding.kind], finding.text) for finding in doubts]
    return sorted(issues, key=lambda issue: -issue.weight)


def _markdown(name: str, issues: list[Issue], figures: Mapping[str, float]) -> str:
    lines = [f"### {name}", ""]
    if figures.get("words"):
        lines += [
            f"{figures['words']:,} words in {figures['sentences']:,} sentences, "
            f"{figures['words_a_sentence']} words a "
            f"sentence, reading ease {figures['reading_ease']} (60 and above is plain English).",
            "",
        ]
    listed = bullets([issue.markdown() for issue in issues])
    return "\n".join(lines) + (listed or "Nothing to object to by the rules that were checked.") + "\n"
