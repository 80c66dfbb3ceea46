"""Profiles of tables: what a user may bring, and the figures that come out."""

from __future__ import annotations

import io
import json
import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_agents import AgentError
from pentad_agents.tables import profile_table
from pentad_agents.tables.delimited import unique_names
from pentad_agents.tables.findings import findings
from pentad_agents.tables.rendering import profile_markdown
from pentad_agents.tables.values import parse_date, parse_number


def profile(content: str | bytes, name: str = "data.csv", content_type: str = "") -> dict[str, Any]:
    """The profile of a file with this content."""
    data = content.encode() if isinstance(content, str) else content
    return profile_table(io.BytesIO(data), name, content_type)


def column(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One column of a profile."""
    return next(item for item in found["columns"] if item["name"] == name)


def types(found: dict[str, Any]) -> dict[str, str]:
    """The columns' types, by name."""
    return {item["name"]: item["type"] for item in found["columns"]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["data.csv", "data", "data.txt"])
def test_delimiters(delimiter: str, name: str) -> None:
    """The delimiter is found whatever the file is called."""
    rows = [["id", "name", "value"], *[[str(n), f"item {n}", f"{n / 2}"] for n in range(1, 30)]]
    found = profile("\n".join(delimiter.join(row) for row in rows), name)
    assert (found["rows"], types(found)) == (29, {"id": "integer", "name": "text", "value": "number"})


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings_and_line_ends(codec: str, named: str, newline: str) -> None:
    """Byte order marks, UTF-16, Windows-1252 and every kind of line end give the same table."""
    text = newline.join(["Größe;Preis", "groß;1,5", "klein;2,5", "süß;3,5", "mittel;4,5"])
    found = profile(text.encode(codec))
    assert types(found) == {"Größe": "text", "Preis": "number"}
    assert (column(found, "Preis")["mean"], found["format"]["encoding"]) == (3.0, named)


def test_missing_and_invalid_values() -> None:
    """Empty cells and the usual words for nothing are missing; what is no number among numbers is invalid."""
    found = profile("x,y\n1,a\n,b\nNA,\nn/a,d\n5,e\n6,f\n7,g\nbroken,h\n9,i\n")
    x = column(found, "x")
    assert (x["missing"], x["missing_share"], x["mean"]) == (3, 0.3333, 5.6)
    assert x["invalid"] == {"count": 1, "examples": [{"value": "broken", "count": 1}]}
    assert column(found, "y")["missing"] == 1


def test_quoting_and_ragged_rows() -> None:
    """Quoted delimiters and newlines stay in their cell; rows too short or too long are counted and used."""
    found = profile('a,b\n"x, y",1\n"line\nbreak",2\n"he said ""no""",3\nshort\nlong,5,6,7\n')
    assert found["rows"] == 5
    assert {entry["value"] for entry in column(found, "a")["top"]} >= {"x, y", "line\nbreak", 'he said "no"'}
    assert len(found["notes"]) == 2 and all(": 1;" in note for note in found["notes"])


def test_without_header() -> None:
    """A table that begins with values gets names for its columns."""
    assert types(profile("1,2.5,x\n2,3.5,y\n3,4.5,z\n")) == {
        "column_1": "integer",
        "column_2": "number",
        "column_3": "text",
    }


def test_words_only() -> None:
    """A table of words has a header if its first row does not come again below."""
    found = profile("city,country\nRome,Italy\nParis,France\nMilan,Italy\n")
    assert list(types(found)) == ["city", "country"]


def test_preamble_and_single_column() -> None:
    """Comments and Excel's hint come before the table; a list of numbers is a table of one column."""
    assert profile("sep=;\na;b\n1;2\n3;4\n")["rows"] == 2
    assert profile("# made by a logger\n# at night\na,b\n1,2\n3,4\n")["rows"] == 2
    assert types(profile("weight\n1.5\n2.5\n3.5\n", "weights.txt")) == {"weight": "number"}


@given(st.lists(st.text(max_size=5), max_size=8))
def test_names_of_columns(cells: list[str]) -> None:
    """Whatever the header says, no name is empty and none comes twice."""
    names = unique_names(cells)
    assert len(names) == len(cells) == len(set(names)) and all(names)


def test_many_and_long_names_of_columns() -> None:
    """Thousands of columns of one name are told apart at once; a name of megabytes is cut."""
    assert unique_names(["a"] * 20_000)[-1] == "a_20000"
    assert len(unique_names(["x" * 2_000_000])[0]) <= 120


def test_numbers_beyond_measure() -> None:
    """Numbers too large to reckon with are told as no numbers; large ones are written short."""
    found = profile("a\n" + "".join(f"{number}\n" for number in range(30)) + f"1e308\n{'9' * 400}\n1e60\n")
    assert column(found, "a")["invalid"]["count"] == 2 and column(found, "a")["maximum"] == 1e60
    json.dumps(found, allow_nan=False)
    assert "1e+60" in profile_markdown(found) and len(profile_markdown(found)) < 2000


def test_records_nested_deeply() -> None:
    """A value nested deeper than it can be followed is a value like any other."""
    deep = "[" * 850 + "]" * 850
    found = profile(f'[{{"a": {deep}, "b": 1}}, {{"a": 2, "b": 2}}]', "data.json")
    assert found["rows"] == 2 and [one["name"] for one in found["columns"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-2.5e3", -2500.0),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("3,14", 3.14),
        ("12 000", 12000.0),
        ("45 %", 45.0),
        ("€ 9.99", 9.99),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
        ("12:30", None),
        ("1.2.3", None),
        ("abc", None),
        ("", None),
    ],
)
def test_numbers(text: str, value: float | None) -> None:
    """Numbers as people and programs write them."""
    assert parse_number(text) == value


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-01", "2026-03-01T00:00:00"),
        ("2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00"),
        ("2026-03-01 10:00:00Z", "2026-03-01T10:00:00"),
        ("2026/03/01 10:00", "2026-03-01T10:00:00"),
        ("01.03.2026", "2026-03-01T00:00:00"),
        ("03/01/2026", "2026-03-01T00:00:00"),
        ("2026-13-01", None),
        ("1.2.3", None),
    ],
)
def test_dates(text: str, iso: str | None) -> None:
    """Dates as people and programs write them, in UTC where they have a zone."""
    moment = parse_date(text)
    assert (moment.isoformat() if moment else None) == iso


def test_day_first() -> None:
    """One date that can only be read with the day first decides for its column."""
    found = profile("when,x\n" + "\n".join(f"{day:02}/02/2026,{day}" for day in range(1, 25)))
    assert column(found, "when")["first"] == "2026-02-01T00:00:00"


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=300))
def test_figures_are_right(values: list[float]) -> None:
    """Mean, deviation, extremes and quantiles are those of the standard library, to six digits."""
    found = column(profile("x,k\n" + "\n".join(f"{value!r},k" for value in values)), "x")

    def same(name: str, expected: float) -> None:
        assert math.isclose(found[name], expected, rel_tol=2e-5, abs_tol=1e-4), (name, found[name], expected)

    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    same("mean", statistics.fmean(values))
    same("deviation", statistics.stdev(values))
    same("minimum", min(values))
    same("maximum", max(values))
    same("p25", low)
    same("median", middle)
    same("p75", high)


def test_many_rows_are_sampled_fairly() -> None:
    """Of a large table counts, means and extremes are exact, quantiles close, and always the same."""
    source = random.Random(1)
    values = [source.gauss(100, 15) for _ in range(100_000)]
    values[77_777] = 1e6
    text = "n,x\n" + "\n".join(f"{number},{value:.4f}" for number, value in enumerate(values))
    found = profile(text)
    x = column(found, "x")
    assert found["rows"] == 100_000 and found["sampled_rows"] < 21_000
    assert math.isclose(x["mean"], statistics.fmean(values), rel_tol=1e-5)
    assert abs(x["median"] - statistics.median(values)) < 0.5
    assert x["outliers"]["examples"][0] == {"value": 1e6, "row": 77_778}
    assert profile(text) == found


def test_correlations() -> None:
    """Columns that go together are found, with the sign."""
    rows = "\n".join(f"{n},{2 * n + n % 3},{-n + n % 5},{n * 7919 % 101}" for n in range(200))
    pairs = {
        (pair["first"], pair["second"]): pair["r"] for pair in profile("a,b,c,d\n" + rows)["correlations"]
    }
    assert pairs["a", "b"] > 0.99 and pairs["a", "c"] < -0.99
    assert ("a", "d") not in pairs


def test_what_stands_out() -> None:
    """An outlier of its group, a drift, a gap, a wrong value, repeats and spellings are all found."""
    lines = ["time,sensor,value,status"]
    for hour in range(100):
        if hour not in (50, 51, 52, 53, 54):
            time = f"2026-01-{1 + hour // 24:02}T{hour % 24:02}:00:00"
            wobble = hour * 7 % 5 / 10
            lines.append(f"{time},A,{20 + wobble if hour != 30 else 35},ok")
            lines.append(f"{time},B,{90 + wobble + hour / 10},{'OK' if hour == 3 else 'ok'}")
            lines.append(f"{time},C,{'err' if hour == 9 else 50 + wobble},ok")
    lines += lines[-2:]
    found = findings(profile("\n".join(lines)))
    texts = {finding.kind: finding.text for finding in found}
    assert (
        "value where sensor is A" in texts["outliers"]
        and "35 (row 91, 2026-01-02T06:00:00)" in texts["outliers"]
    )
    assert "value where sensor is B rises by" in texts["drift"]
    assert "6 hours after 2026-01-03T01:00:00" in texts["gaps"]
    assert "'err'" in texts["invalid values"]
    assert texts["duplicates"].startswith("2 rows")
    assert "'OK', 'ok'" in texts["spelling"]
    assert found[0].kind == "outliers"


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"a": n, "b": {"c": n / 2}, "d": None} for n in range(50)]),
        json.dumps([{"a": n, "b": {"c": n / 2}, "d": None} for n in range(50)], indent=2),
        "\n".join(json.dumps({"a": n, "b": {"c": n / 2}, "d": None}) for n in range(50)),
        json.dumps(
            {"meta": 1, "rows": {"items": [{"a": n, "b": {"c": n / 2}, "d": None} for n in range(50)]}}
        ),
        "\ufeff" + json.dumps([{"a": n, "b": {"c": n / 2}, "d": None} for n in range(50)]),
    ],
)
def test_json_records(content: str) -> None:
    """Arrays, indented or not, lines, and a list within an object are tables; inner objects become
    columns."""
    found = profile(content, "data.json")
    assert found["rows"] == 50
    assert types(found) == {"a": "integer", "b.c": "number", "d": "empty"}


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers() | st.text() | st.none()), min_size=1))
def test_json_arrays_are_read_in_pieces(records: list[dict[str, Any]]) -> None:
    """However an array is cut when it is read, no record is lost."""
    from pentad_agents.tables.records import _array

    text = json.dumps(records)
    for size in (1, 3, 1000):
        pieces = (text[start : start + size] for start in range(0, len(text), size))
        assert list(_array(pieces, "x")) == records


def test_json_fields_that_come_later() -> None:
    """A field that only later records have is missing in the earlier ones."""
    records = [{"a": 1}] * 9000 + [{"a": 1, "late": 2}] * 10
    late = column(profile(json.dumps(records), "x.json"), "late")
    assert (late["missing"], late["mean"]) == (9000, 2.0)


def test_markdown_table() -> None:
    """The first table of a Markdown text is a table."""
    found = profile(
        "# Title\n\nText, with a comma.\n\n| a | b |\n|---|--:|\n| x | 1 |\n| y | 2 |\n\nEnd.\n", "r.md"
    )
    assert (found["rows"], types(found)) == (2, {"a": "text", "b": "integer"})


PROSE = (
    "Dear all,\nthe meeting, as you know, was moved.\nWe hope, of course, that you can come.\nBest, Ann\n" * 3
)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.csv", "EMPTY_INPUT"),
        (b"\xef\xbb\xbf", "a.csv", "EMPTY_INPUT"),
        (b"  \n\n", "a.csv", "EMPTY_INPUT"),
        (b"a,b,c\n", "a.csv", "EMPTY_INPUT"),
        (b"[]", "a.json", "EMPTY_INPUT"),
        (bytes(range(256)) * 10, "a.csv", "BINARY_INPUT"),
        (b"%PDF-1.7 ...", "a.csv", "BINARY_INPUT"),
        (b"PK\x03\x04....", "a.xlsx", "BINARY_INPUT"),
        (b"\x89PNG\r\n", "a.png", "BINARY_INPUT"),
        (PROSE.encode(), "a.txt", "NOT_A_TABLE"),
        (b"one line", "a.txt", "NOT_A_TABLE"),
        (b'{"title": "one", "text": "document"}', "a.json", "NOT_A_TABLE"),
        (b'["a", "b"]', "a.json", "NOT_A_TABLE"),
        (b'[{"a": 1}, {"a": ', "a.json", "INVALID_JSON"),
        (b'{"a": 1}\n{"a": oops}\n', "a.jsonl", "INVALID_JSON"),
        (b'a,b\n1,"open\n' + b"x,y\n" * 400_000, "a.csv", "INVALID_TABLE"),
    ],
)
def test_what_is_no_table(content: bytes, name: str, reason: str) -> None:
    """Empty, binary, broken and other files are told apart, and the message names the file."""
    with pytest.raises(AgentError) as raised:
        profile(content, name)
    assert raised.value.reason == reason and name in raised.value.message
    assert not raised.value.retryable


def test_stopping() -> None:
    """A profile that is not wanted any more ends soon."""
    with pytest.raises(AgentError, match="stopped"):
        profile_table(io.BytesIO(b"a,b\n" + b"1,2\n" * 100_000), "x.csv", stopped=lambda: True)


def test_progress() -> None:
    """Progress rises from 0 to 1."""
    told: list[float] = []
    profile_table(io.BytesIO(b"a,b\n" + b"1,2\n" * 100_000), "x.csv", progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 5


def test_as_markdown() -> None:
    """The rendering is a table of columns, safe against names with `|`."""
    text = profile_markdown(profile("a|b,c\n1,x\n2,y\n3,y\n"))
    assert "| a\\|b | integer | 0 | 3 | 1 … 3 | 2 | 2 ± 1 |" in text
    assert "3 rows, 2 columns; delimited text (comma), utf-8" in text
