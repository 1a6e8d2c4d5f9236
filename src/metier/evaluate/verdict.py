"""The verdict: SIGN OFF, CONDITIONAL or REJECT, from criteria that were written before the run.

A criterion is met ("yes") when the whole interval of the figure, or of the paired difference, satisfies it; "unclear"
when only the figure itself does, or when there is no figure; "no" when not even that. "Better than" a model without a
margin also needs the paired test after Holm's correction. All yes: SIGN OFF. Any no: REJECT. Else CONDITIONAL.
Whatever the criteria are: a tuned model that is not shown to beat its base and every floor is told so first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.evaluate import wording
from metier.evaluate.criteria import Criterion, decided_by
from metier.evaluate.wording import Both

Key = tuple[str, str, str]  # metric, label, other model


@dataclass(frozen=True)
class Evidence:
    """All that a verdict looks at. figures: the tuned model's, by (metric, label, ""); rows: differences, by (metric,
    label, other model), with `outcome` where the comparison was tested. several, spans: the task has
    several labels, or spans, a text."""

    primary: str
    figures: Mapping[Key, dict[str, Any]]
    rows: Mapping[Key, dict[str, Any]]
    several: bool = False
    spans: bool = False


def with_parts(evidence: Evidence, parts: Mapping[str, Any], criteria: Sequence[Criterion]) -> Evidence:
    """The evidence with figures and differences of parts of the test set, for the criteria that name some.

    parts: the block `slices` of results.json; a part that it lacks has too few examples.
    """
    figures, rows = dict(evidence.figures), dict(evidence.rows)
    by_name = {(row["metric"], row["column"], row["value"]): row for row in parts["rows"]}
    for one in criteria:
        if not one.part:
            continue
        row = by_name.get((one.metric, *one.part))
        missing = {"value": None, "difference": None, "low": None, "high": None, "minimum": parts["minimum"]}
        figures[one.metric, one.label, ""] = row["models"]["tuned"] if row else missing
        if one.model:
            against = {found["against"]: found for found in row["comparisons"]} if row else {}
            rows[one.metric, one.label, one.model] = against.get(one.model, missing)
    return replace(evidence, figures=figures, rows=rows)


def with_checks(evidence: Evidence, checks: Mapping[str, Any]) -> Evidence:
    """The evidence with the figures of checks. checks: {check: {"figures": {figure: {value, low, high, n, ...}}}}."""
    figures = dict(evidence.figures)
    for name, block in checks.items():
        figures |= {(f"{name}.{figure}", "", ""): found for figure, found in block["figures"].items()}
    return replace(evidence, figures=figures)


def decide(
    criteria: Sequence[Criterion], evidence: Evidence, source: str, frozen: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The block `verdict` of results.json. source: "recipe" or "default" (where the criteria come from).

    frozen: the promise that was written before the test set was opened (frozen.py); one that was changed is said first.
    """
    reasons = [reason(one, evidence) for one in criteria]
    met = [entry["met"] for entry in reasons]
    if "no" in met:
        decision = "REJECT"
    elif met and all(entry == "yes" for entry in met):
        decision = "SIGN OFF"
    else:
        decision = "CONDITIONAL"
    english, chinese = headline(criteria, met, evidence)
    if frozen and frozen["changed"]:
        english = f"The criteria were changed after the answers were known. {english}"
        chinese = f"验收标准在得知答案之后被改动过。{chinese}"
    return {"decision": decision, "reasons": reasons, "headline": english, "headline_zh": chinese,
            "criteria_source": source, "frozen": dict(frozen) if frozen else None}  # fmt: skip


def reason(one: Criterion, evidence: Evidence) -> dict[str, str]:
    """One criterion, whether it is met, and a sentence with the figures."""
    key = (one.metric, one.label, one.other)
    label = "" if one.part else one.label
    if one.model:
        found = evidence.rows.get(key, {"difference": None, "low": None, "high": None})
        value = found["difference"]
        said = wording.relative(one.metric, label, one.other, found)
    else:
        found = evidence.figures.get(key, {"value": None, "low": None, "high": None})
        value = found["value"]
        said = wording.of_check(one.metric, found) if one.check else wording.absolute(
            one.metric, label, found, evidence.several, evidence.spans)  # fmt: skip
    if one.part:
        said = wording.of_part(one.part, found, said)
    answer = _met(one, value, found["low"] if one.higher else found["high"])
    superiority = bool(one.model) and one.number == 0 and len(one.operator) == 1
    if answer == "yes" and superiority and found.get("outcome", "better") != "better":
        answer = "unclear"
    asked, end = wording.demand(one), wording.MET[answer]
    return {"criterion": one.text, "met": answer, "text": f"{said[0]}; {asked[0]}. {end[0]}",
            "text_zh": f"{said[1]}；{asked[1]}。{end[1]}"}  # fmt: skip


def shortfalls(evidence: Evidence) -> list[Both]:
    """A sentence for every model that the tuned one is not shown to beat on the primary metric; the worst first."""
    found = []
    for (metric, label, model), row in evidence.rows.items():
        if metric != decided_by(evidence.primary, model) or label or row.get("outcome", "better") == "better":
            continue
        gain = (row["difference"] or 0.0) * (1 if row.get("better") == "higher" else -1)
        other = wording.model_name(model)
        if row["outcome"] == "worse":
            begin, order = (f"The tuned model is worse than {other[0]}", f"微调模型不如{other[1]}"), 0
        elif gain <= 0:
            begin, order = (f"The tuned model is no better than {other[0]}", f"微调模型并不优于{other[1]}"), 1
        else:
            begin, order = (f"The tuned model is not shown to be better than {other[0]}",
                            f"尚不能证明微调模型优于{other[1]}"), 2  # fmt: skip
        said = wording.relative(metric, "", model, row)
        found.append((order, gain, (f"{begin[0]}. {said[0]}.", f"{begin[1]}。{said[1]}。")))
    return [sentence for _, _, sentence in sorted(found, key=lambda entry: entry[:2])]


def headline(criteria: Sequence[Criterion], met: Sequence[str], evidence: Evidence) -> Both:
    """What the reader sees first: what the model failed to beat, if anything; the criteria; the main figure."""
    parts = shortfalls(evidence)[:1]
    total = len(met)
    for answer, english, chinese in (
        ("no", "are not met", "未达到"),
        ("unclear", "cannot be confirmed with this test set", "用这个测试集无法确认"),
    ):
        these = [one.text for one, state in zip(criteria, met, strict=True) if state == answer]
        if these:
            parts.append((f"{len(these)} of {total} criteria {english}: {', '.join(these)}.",
                          f"{total} 项标准中有 {len(these)} 项{chinese}：{'，'.join(these)}。"))  # fmt: skip
    if total and all(state == "yes" for state in met):
        english = "The criterion is met." if total == 1 else f"All {total} criteria are met."
        parts.append((english, f"全部 {total} 项标准均已达到。"))
    figure = evidence.figures.get((evidence.primary, "", ""))
    if figure:
        said = wording.absolute(evidence.primary, "", figure, evidence.several)
        parts.append((f"{said[0]}.", f"{said[1]}。"))
    return " ".join(part[0] for part in parts), "".join(part[1] for part in parts)


def _met(one: Criterion, value: float | None, limit: float | None) -> str:
    if value is None:
        return "unclear"
    if not one.holds(value):
        return "no"
    return "yes" if limit is not None and one.holds(limit) else "unclear"
