"""What stands out in a profile, the most striking first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pentad_agents.tables.rendering import figure, many, span

DRIFT = 0.5  # |r| with the order of the rows
STRONG = 0.7  # |r| of two columns
EXPLAINS = 0.25  # share of the spread
EACH_KIND = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out. `score` from 0 to 100; `text` is one or two sentences with figures."""

    kind: str
    score: float
    text: str

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return asdict(self)


def findings(profile: Mapping[str, Any]) -> list[Finding]:
    """Findings with figures, the most striking first, at most a few of each kind."""
    found = [*_groups(profile), *_columns(profile), *_pairs(profile), *_rows(profile)]
    found.sort(key=lambda finding: -finding.score)
    kinds: Counter[str] = Counter()
    kept = []
    for finding in found:
        kinds[finding.kind] += 1
        if kinds[finding.kind] <= EACH_KIND:
            kept.append(finding)
    return kept


def _columns(profile: Mapping[str, Any]) -> Iterator[Finding]:
    grouped = {group["column"] for group in profile["groups"] if group["explains"] >= EXPLAINS}
    for column in profile["columns"]:
        name = column["name"]
        if "outliers" in column and name not in grouped:
            yield _outlier(name, column, column["outliers"])
        if abs(column.get("trend", 0)) >= DRIFT and name not in grouped and not _is_counter(column, profile):
            way = "rises" if column["trend"] > 0 else "falls"
            text = f"{name} {way} along the rows (r = {column['trend']:.2f} with their order)."
            yield Finding("drift", 55 + 30 * abs(column["trend"]), text)
        yield from _quality(column)
        if "rhythm" in column and column["rhythm"]["gaps"]:
            yield _gap(name, column["rhythm"])


def _quality(column: Mapping[str, Any]) -> Iterator[Finding]:
    name = column["name"]
    if invalid := column.get("invalid"):
        shown = ", ".join(repr(example["value"]) for example in invalid["examples"])
        count = invalid["count"]
        which = f"that is no {_noun(column)}" if count == 1 else f"that are no {_noun(column)}s"
        text = f"{name} holds {many(count, 'value')} {which}: {shown}."
        yield Finding("invalid values", 70, text)
    if column["type"] == "empty":
        yield Finding("missing values", 50, f"{name} is empty in every row.")
    elif column["missing"]:
        share = column["missing_share"]
        text = f"{name} is missing in {many(column['missing'], 'row')} ({share:.1%})."
        yield Finding("missing values", 35 + 55 * share, text)
    for variants in column.get("spelling_variants", ()):
        shown = ", ".join(repr(variant) for variant in variants)
        yield Finding("spelling", 35, f"{name} writes one value in several ways: {shown}.")
    if column["distinct"] == 1 and not column["missing"]:
        yield Finding("constant", 25, f"{name} is the same in every row.")
    top = column.get("top", ())
    rare = [entry for entry in top[1:] if entry["count"] <= 0.01 * sum(one["count"] for one in top)]
    if rare and column["distinct"] <= 5:
        shown = ", ".join(f"{entry['value']!r} ({entry['count']:,})" for entry in rare)
        yield Finding("rare values", 45, f"{name} is rarely {shown}; most often {top[0]['value']!r}.")


def _groups(profile: Mapping[str, Any]) -> Iterator[Finding]:
    best: dict[str, Mapping[str, Any]] = {}
    for group in profile["groups"]:  # the clearest comes first
        best.setdefault(group["column"], group)
    for name, group in best.items():
        if group["explains"] < EXPLAINS:
            continue
        parts = sorted(group["groups"], key=lambda part: part["mean"])
        shown = ", ".join(f"{part['value']} {figure(part['mean'])}" for part in _ends(parts))
        text = f"{name} differs by {group['by']}: {shown} on average ({group['explains']:.0%} of its spread)."
        yield Finding("groups", 40 + 30 * group["explains"], text)
        for part in parts:
            where = f"{name} where {group['by']} is {part['value']}"
            if "outliers" in part:
                yield _outlier(where, part, part["outliers"])
            if abs(part.get("trend", 0)) >= DRIFT:
                way = "rises" if part["shift"] > 0 else "falls"
                text = (
                    f"{where} {way} by {figure(abs(part['shift']))} between the first and last fifth of "
                    f"the rows "
                    f"(r = {part['trend']:.2f} with their order)."
                )
                yield Finding("drift", 55 + 30 * abs(part["trend"]), text)


def _ends(parts: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return parts if len(parts) <= 5 else [*parts[:2], *parts[-2:]]


def _outlier(where: str, around: Mapping[str, Any], far: Mapping[str, Any]) -> Finding:
    first = far["examples"][0]
    spots = ", ".join(_spot(example) for example in far["examples"][:3])
    count = far.get("count")
    many = f"{count:,} values are" if count and count > 1 else "1 value is" if count else "some values are"
    text = f"{where}: {many} far from the rest (median {figure(around['median'])}): {spots}."
    distance = abs(first["value"] - around["median"]) / (abs(around["median"]) + abs(first["value"]) or 1)
    rarity = 1 - min(1.0, (count or 1) / 20)
    return Finding("outliers", 75 + 15 * distance + 10 * rarity, text)


def _spot(example: Mapping[str, Any]) -> str:
    at = f", {example['at']}" if "at" in example else ""
    return f"{figure(example['value'])} (row {example['row']:,}{at})"


def _pairs(profile: Mapping[str, Any]) -> Iterator[Finding]:
    explained = {(group["column"], group["by"]) for group in profile["groups"] if group["explains"] >= 0.5}
    for pair in profile["correlations"]:
        if abs(pair["r"]) < STRONG:
            continue
        way = "rise and fall together" if pair["r"] > 0 else "move against each other"
        text = f"{pair['first']} and {pair['second']} {way} (r = {pair['r']:.2f}, {pair['pairs']:,} rows)."
        common = [
            by for column, by in explained if column == pair["first"] and (pair["second"], by) in explained
        ]
        if common:
            text += f" Much of that is the difference between values of {common[0]}."
        yield Finding("correlation", 40 + 30 * abs(pair["r"]) - (20 if common else 0), text)


def _rows(profile: Mapping[str, Any]) -> Iterator[Finding]:
    if count := profile["duplicate_rows"]:
        share = count / profile["rows"]
        yield Finding(
            "duplicates",
            50 + 30 * share,
            f"{many(count, 'row')} say the same as an earlier row ({share:.1%}).",
        )
    for note in profile["notes"]:
        yield Finding("format", 60, note[0].upper() + note[1:] + ".")


def _gap(name: str, rhythm: Mapping[str, Any]) -> Finding:
    longest, usual = rhythm["longest_seconds"], rhythm["usual_seconds"]
    text = (
        f"{name} has {many(rhythm['gaps'], 'gap')}: usually {span(usual)} apart, but {span(longest)} after "
        f"{rhythm['longest_after']}."
    )
    return Finding("gaps", min(80.0, 50 + 2 * longest / usual), text)


def _is_counter(column: Mapping[str, Any], profile: Mapping[str, Any]) -> bool:
    """Whether it just counts the rows."""
    return bool(column["type"] == "integer" and abs(column["trend"]) > 0.999)


def _noun(column: Mapping[str, Any]) -> str:
    return "date" if column["type"] == "date" else "number"
