"""A summary of a document in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pentad_agents.material import Document
from pentad_agents.prose.ranking import summarize
from pentad_agents.prose.sentences import blocks, clip, sentences

SHORTEST, LONGEST, SHARE = 3, 7, 0.12


@dataclass(frozen=True, slots=True)
class Summary:
    """Sentences of the document, word for word, in its order, long ones clipped; and the document's
    outline."""

    name: str
    sentences: tuple[str, ...]
    total: int
    words: int
    headings: tuple[str, ...]
    cut: bool

    def markdown(self) -> str:
        """The summary with where it comes from."""
        part = f"{len(self.sentences)} of {self.total:,} sentences{' of its beginning' if self.cut else ''}"
        lines = [f"### {self.name}", "", f"{part}, word for word ({self.words:,} words in all):", ""]
        lines += [f"- {sentence}" for sentence in self.sentences]
        if len(self.headings) > 1:
            lines += ["", f"Sections: {'; '.join(self.headings[:12])}."]
        return "\n".join(lines) + "\n"


def summarize_document(document: Document, question: str = "") -> Summary:
    """The sentences that say most of the document and of what the question asks for."""
    pool = sentences(document.text)
    count = min(LONGEST, max(SHORTEST, round(len(pool) * SHARE)))
    chosen = summarize(pool, count, question) or pool[:count]
    return Summary(
        name=document.name,
        sentences=tuple(clip(sentence.text) for sentence in chosen),
        total=len(pool),
        words=len(document.text.split()),
        headings=tuple(block.text for block in blocks(document.text) if block.level in (1, 2)),
        cut=document.cut,
    )


def bullets(texts: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {text}" for text in texts)
