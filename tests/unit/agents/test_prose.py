"""Reading prose: sentences, summaries, points, critique, and what a model may not add."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_agents import AgentError, Part, Task
from pentad_agents.encoding import decode
from pentad_agents.material import MAX_TEXT, Document, gather, kind_of, read
from pentad_agents.prose.critique import critique, readability
from pentad_agents.prose.grounding import Source, keep_grounded
from pentad_agents.prose.points import points
from pentad_agents.prose.sentences import MAX_QUOTE, MAX_SENTENCE, blocks, clip, sentences, split
from pentad_agents.prose.summary import summarize_document
from pentad_agents.prose.words import numbers

EXAMPLES = Path(__file__).parents[3] / "examples"
REPORT = (EXAMPLES / "report.md").read_text()
MAIL = (EXAMPLES / "inquiry.txt").read_text()


def test_sentences() -> None:
    """Abbreviations, decimals and initials do not end a sentence; question and quotation marks do."""
    text = 'Dr. Smith paid 3.50 EUR, e.g. for tea. "Really?" Asked J. Doe. It rained. 12 people came!'
    assert split(text) == [
        "Dr. Smith paid 3.50 EUR, e.g. for tea.",
        '"Really?',
        "Asked J. Doe.",
        "It rained.",
        "12 people came!",
    ]


@pytest.mark.parametrize(
    "text", ["Это первое. Вот второе!", "שלום עולם. שלום.", "今天天气很好。我们去公园玩。", "Γη μεν. Ουδε."]
)
def test_sentences_of_other_scripts(text: str) -> None:
    """Sentences end in other scripts, too."""
    assert len(split(text)) == 2


def test_blocks() -> None:
    """Headings, items and paragraphs are told apart; code, tables and markup are left out."""
    text = "# A *title*\n\nOne\nparagraph with [a link](http://x).\n\n- first\n- second\n\n"
    text += "```\ncode\n```\n| a | b |\n"
    assert [(block.text, block.level) for block in blocks(text)] == [
        ("A title", 1),
        ("One paragraph with a link.", 0),
        ("first", 0),
        ("second", 0),
    ]


def test_mail() -> None:
    """A mail's subject is its heading, and its other headers are not read as text."""
    first = next(iter(sentences(MAIL)))
    assert first.section == "Grinder GX-40 stops again, order 88213"
    assert not any("From:" in sentence.text for sentence in sentences(MAIL))


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    """No text whatsoever breaks the reading, the summary, the points or the critique of it."""
    summarize_document(Document("x", text))
    points(sentences(text))
    critique(text)
    readability(text)


RECORDS = "id,site,value\n" + "".join(f"{number},north,{number * 3}\n" for number in range(20_000))
WITHOUT_ENDS = {
    "records": RECORDS,
    "one line": "wind and water " * 20_000,
    "one word": "x" * 300_000,
    "brackets": "[" * 300_000,
    "the same line": "INFO the pump of site 3 reports ok\n" * 9_000,
    "initials": "A. B. C. " * 30_000,
    "figures": "1 2 3 " * 50_000,
    "a long subject": f"From: me\nSubject: {'why ' * 50_000}\n\nPlease answer by tomorrow.\n",
}


@pytest.mark.parametrize("kind", WITHOUT_ENDS)
def test_texts_without_sentences(kind: str) -> None:
    """Text of any size without the end of a sentence is cut up, and what is quoted of it stays short."""
    text = WITHOUT_ENDS[kind]
    assert max(len(sentence.text) for sentence in sentences(text)) <= MAX_SENTENCE
    summary = summarize_document(Document("x", text))
    assert summary.sentences and max(map(len, summary.sentences)) <= MAX_QUOTE
    assert all(len(point.text) < 2 * MAX_QUOTE + 20 for point in points(sentences(text)))
    assert all(len(issue.markdown()) < 1000 for issue in critique(text))


def test_records_are_read_line_by_line() -> None:
    """Lines through which no sentences run are read one by one, those of a paragraph together."""
    assert summarize_document(Document("x.md", RECORDS)).total == 20_001
    wrapped = "It rained all day\nin the north. " * 200
    assert sentences(wrapped)[1].text == "It rained all day in the north."


def test_clip() -> None:
    """A long text is cut after a whole word, a short one left alone."""
    assert clip("one two three four", 12) == "one two…"
    assert clip("one two", 7) == "one two"
    assert clip("x" * 20, 5) == "xxxx…"


def test_summary_is_in_the_text() -> None:
    """A summary is made of the text's own sentences, in their order, and says what the text is about."""
    summary = summarize_document(Document("report.md", REPORT))
    flat = " ".join(" ".join(block.text for block in blocks(REPORT)).split())
    places = [flat.index(sentence) for sentence in summary.sentences]
    assert places == sorted(places) and 3 <= len(places) <= 7
    assert any("14 electric vans" in sentence for sentence in summary.sentences)


def test_summary_answers_the_question() -> None:
    """What the question asks for comes into the summary."""
    summary = summarize_document(
        Document("report.md", REPORT), "What do the drivers think of the range display?"
    )
    assert any("drivers call unreliable" in sentence for sentence in summary.sentences)


def test_short_and_empty_texts() -> None:
    """A text of one sentence is its own summary; one without any has none."""
    assert summarize_document(Document("x", "Only one sentence here.")).sentences == (
        "Only one sentence here.",
    )
    assert summarize_document(Document("x", "")).sentences == ()


def test_points_of_a_mail() -> None:
    """Requests with a date come first, then problems and figures, each quoted."""
    found = points(sentences(MAIL))
    assert found[0].kind == "deadline" and "by Wednesday noon" in found[0].text
    assert any("310 EUR" in point.text for point in found)


def test_critique_of_the_report() -> None:
    """Numbers that do not fit together, claims without a figure and vague words are found where they
    stand."""
    found = {issue.kind: issue for issue in critique(REPORT)}
    assert "16 vans" in found["contradiction?"].text and "14 electric vans" in found["contradiction?"].text
    assert found["unsupported claim"].quote == "Drivers clearly prefer the new vans."
    assert found["vague"].quote == "Repairs took several days."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("# A\n\n# B\n\nText here.", "structure"),
        ("# A\n\nText.\n\n### C\n\nMore text.", "structure"),
        ("The budget is TBD for now.", "unfinished"),
        ("The SLO of the XQR team.", "abbreviations"),
        ("All four pumps were checked in May by Ann. " * 2, "repetition"),
        ("word " * 60 + ".", "long sentence"),
        ("This is fine and says what it has to say about the garden. " * 40, "structure"),
    ],
)
def test_critique_finds(text: str, kind: str) -> None:
    """Each rule finds what it is there for."""
    assert kind in {issue.kind for issue in critique(text)}


def test_critique_of_a_good_text() -> None:
    """There is nothing to object to in a plain text."""
    assert critique("The pump ran for 12 hours on Monday. It used 4 kWh, as on Sunday.") == []


def test_critique_against_a_source() -> None:
    """A number that the source does not have is the weightiest issue."""
    source = Source.of(["The pump ran for 12 hours."])
    first = critique("The pump ran for 15 hours.", source)[0]
    assert first.kind == "not in the source" and "15" in first.text


@pytest.mark.parametrize(
    ("sentence", "covered"),
    [
        ("The pilot drove 61,400 km and made 38,920 deliveries.", True),
        ("The pilot made 38,920 km.", False),
        ("The pilot drove 61,500 km.", False),
        ("The pilot in Berlin drove 61,400 km.", False),
        ("The company is a classic example of success in a competitive market.", False),
    ],
)
def test_grounding(sentence: str, covered: bool) -> None:
    """A model's sentence is kept only if numbers, their units, names and nearly all words are the
    source's."""
    source = Source.of(["The pilot drove 61,400 km and made 38,920 deliveries from July to September."])
    kept, dropped = keep_grounded(sentence, source)
    assert (bool(kept), bool(dropped)) == (covered, not covered)


def test_grounding_of_a_big_model() -> None:
    """A model that is trusted with words is still held to the numbers and names."""
    source = Source.of(["Revenue rose from 4.0 to 4.4 million EUR in the third quarter."])
    text = "Sales grew by a tenth, reaching 4.4 million EUR. Acme expects 5.1 million next."
    assert keep_grounded(text, source, strict=False)[0] == "Sales grew by a tenth, reaching 4.4 million EUR."


def test_numbers_in_prose() -> None:
    """Thousands marks and decimal commas are understood; parts of words and versions are not numbers."""
    assert numbers("1,250 and 3.5 and 1.234,5 and 12 000 and A4 and -7") == [1250, 3.5, 1234.5, 12000, -7]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"a,b\n1,2\n", "table"),
        ("noname", b"a;b\n1;2\n3;4\n", "table"),
        ("a.md", b"| a | b |\n|---|---|\n", "prose"),
        ("a.txt", b"Hello.", "prose"),
        ("a.json", b'{"a": 1}', "data"),
        ("a.json", b'[{"a": 1}, {"a": 2}]', "table"),
        ("noname", b"Just words.\nAnd more of them.\n", "prose"),
    ],
)
async def test_kinds(name: str, content: bytes, kind: str) -> None:
    """Tables, prose and data are told apart by name, and by content where the name does not say."""
    assert await kind_of(Part(name, "", content)) == kind


async def test_json_as_text() -> None:
    """A JSON document reads as a list: sentences as they are, all else with its path."""
    text = (
        await read(Part("a.json", "", b'{"open_items": [{"what": "Call Ann back about the pump", "n": 3}]}'))
    ).text
    assert text == "- Call Ann back about the pump\n- open items 1 / n: 3"


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc"))))
def test_decoding(text: str) -> None:
    """Text comes back from UTF-8 and UTF-16 as it was, without its byte order mark."""
    for codec in ("utf-8", "utf-8-sig", "utf-16"):
        assert decode(text.encode(codec)) == text.removeprefix("\ufeff")


def test_declared_charset() -> None:
    """A charset in the content type counts where the bytes are no UTF-8 with a mark."""
    assert decode("Привет".encode("koi8-r"), "text/plain; charset=koi8-r") == "Привет"
    with pytest.raises(AgentError, match="binary"):
        decode(bytes(range(32)) * 4)


async def test_text_that_is_cut_within_a_character() -> None:
    """Of a text of more than 2 MB the beginning is read in its own encoding, wherever the cut falls."""
    document = await read(Part("a.txt", "text/plain", b"a" + "ä".encode() * (MAX_TEXT // 2 + 5)))
    assert document.cut and document.text.startswith("aäää") and "Ã" not in document.text


async def test_json_that_is_broken_or_says_nothing() -> None:
    """JSON that cannot be parsed is read as text, and that is told; JSON without a value is empty."""
    material = await gather(Task("what?", inputs=[Part("a.json", "application/json", b'{"a": 1,')]))
    assert material.problems == ["a.json is not valid JSON and was read as text"]
    with pytest.raises(AgentError, match="without a single value"):
        await read(Part("a.json", "application/json", b'{"a": [], "b": {}}'))


async def test_json_nested_deeply() -> None:
    """JSON that is nested deeper than it can be followed is read as text."""
    document = await read(Part("a.json", "application/json", b'{"a":' * 900 + b"1" + b"}" * 900))
    assert document.data is None and document.text.startswith('{"a"')
