"""The analyst: what stands out."""

from __future__ import annotations

import asyncio
from typing import Any

from pentad_agents import AgentError, BaseAgent, Context, Output, Part, Task
from pentad_agents.material import Document, documents_of, gather, json_of
from pentad_agents.prose.phrasing import phrase
from pentad_agents.prose.points import points_of
from pentad_agents.prose.summary import bullets
from pentad_agents.tables.findings import Finding, findings
from pentad_agents.tables.part import profile_part
from pentad_agents.tables.rendering import profile_markdown

SHOWN = 12


class Analyst(BaseAgent):
    """Ranks what stands out: in a table outliers, drifts, gaps, groups and correlations with their figures;
    in a text requests, deadlines, problems and figures. A model may add words, which are checked and
    marked."""

    CAPABILITIES = ("analyze", "find-anomalies", "extract-points")
    TAGS = ("analysis", "findings", "outliers", "anomalies", "trends", "insight", "requests", "deadlines")

    async def execute(self, task: Task, ctx: Context) -> list[Output]:
        """Works on the profiles and texts of earlier steps and on the inputs. Raises AgentError NO_INPUT,
        …"""
        profiles, documents, problems = await self._material(task, ctx)
        ctx.progress(0.5, "ranking what stands out")
        found: list[Finding] = [finding for profile in profiles for finding in findings(profile)]
        for document in documents:
            found += await asyncio.to_thread(points_of, document.text)
        found.sort(key=lambda finding: -finding.score)
        shown = [finding.text for finding in found[:SHOWN]]
        worded = await phrase(ctx, f"Answer the question: {task.instruction}", "\n".join(shown[:6]))
        notes = [*problems, *([worded.note] if worded.note else [])]
        answer = {
            "findings": [finding.as_json() for finding in found],
            "overviews": [profile_markdown(profile) for profile in profiles],
            "sources": [
                *(profile["file"] for profile in profiles),
                *(document.name for document in documents),
            ],
            "worded_by_model": worded.text,
            "notes": problems,
        }
        lead = f"{worded.text}\n\n" if worded.text else ""
        listed = (
            bullets(shown)
            if shown
            else "Nothing stands out: no outliers, drifts, gaps, requests or problems."
        )
        markdown = f"## What stands out\n\n{lead}{listed}\n" + "".join(f"\n*{note}*\n" for note in notes)
        return [Output(answer, "findings"), Output.markdown(markdown, "findings")]

    async def _material(
        self, task: Task, ctx: Context
    ) -> tuple[list[dict[str, Any]], list[Document], list[str]]:
        """Profiles made before, those of tables not yet profiled, and texts."""
        profiles, texts = await _from_previous(task)
        if not task.inputs and (profiles or texts):
            return profiles, [] if profiles else texts, []
        material = await gather(task)
        done = {profile["file"] for profile in profiles}
        tables: list[Part] = [part for part in material.tables if part.name not in done]
        profiles += [await profile_part(part, ctx) for part in tables]
        if not profiles and not material.documents and not texts:
            raise AgentError("NO_INPUT", "there is neither a table nor a text to analyse")
        return profiles, material.documents, material.problems


async def _from_previous(task: Task) -> tuple[list[dict[str, Any]], list[Document]]:
    profiles: list[dict[str, Any]] = []
    texts: list[Document] = []
    for step in task.previous:
        if profile := await json_of(step, "correlations"):
            profiles.append(profile)
        elif not step.failed:
            texts += [document for document in await documents_of(step) if document.data is None]
    return profiles, texts
