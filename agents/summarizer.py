"""The summarizer: what a text says, in its own words."""

from __future__ import annotations

import asyncio

from pentad_agents import BaseAgent, Context, Output, Task
from pentad_agents.material import Material, documents_of, gather
from pentad_agents.prose.phrasing import phrase
from pentad_agents.prose.summary import summarize_document
from pentad_agents.tables.findings import findings
from pentad_agents.tables.part import profile_part
from pentad_agents.tables.rendering import many, profile_markdown


class Summarizer(BaseAgent):
    """Sums up texts, reports, messages and JSON documents by their own most telling sentences; of a table it
    says the shape and what stands out. A model may add words, which are checked against the text and
    marked."""

    CAPABILITIES = ("summarize", "read-text")
    TAGS = ("summary", "brief", "text", "markdown", "report", "email", "ticket", "json", "overview")

    async def execute(self, task: Task, ctx: Context) -> list[Output]:
        """Sums up the inputs, or without any what the steps before said."""
        material = await self._material(task)
        ctx.progress(0.1, "reading")
        summaries = [
            await asyncio.to_thread(summarize_document, document, task.instruction)
            for document in material.documents
        ]
        texts = [summary.markdown() for summary in summaries]
        overviews: list[str] = []
        facts = [sentence for summary in summaries for sentence in summary.sentences]
        for part in material.tables:
            profile = await profile_part(part, ctx)
            found = [finding.text for finding in findings(profile)[:5]]
            overview = profile_markdown(profile).replace("## Profile of", "###", 1)
            texts.append(overview + "".join(f"\n- {text}" for text in found) + "\n")
            facts += [f"The table {part.name} has {many(profile['rows'], 'row')}.", *found]
            overviews.append(profile_markdown(profile))
        ctx.progress(0.5, "wording")
        worded = await phrase(ctx, f"Sum this up for someone who asked: {task.instruction}", "\n".join(facts))
        notes = [*material.problems, worded.note] if worded.note else material.problems
        lead = f"{worded.text}\n\n" if worded.text else ""
        markdown = f"## Summary\n\n{lead}" + "\n".join(texts) + "".join(f"\n*{note}*\n" for note in notes)
        summary = {
            "summary": facts,
            "overviews": overviews,
            "worded_by_model": worded.text,
            "notes": material.problems,
        }
        return [Output(summary, "summary"), Output.markdown(markdown, "summary")]

    async def _material(self, task: Task) -> Material:
        if task.inputs or not task.previous:
            return await gather(task)
        steps = [await documents_of(step) for step in task.previous if not step.failed]
        return Material(documents=[document for step in steps for document in step if document.data is None])
