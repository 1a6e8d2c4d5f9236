"""What can be left to the model: threshold, risk by coverage, confidence set right, sets with a promise.

Not covered: computing anything; the figures come from the evaluation (evaluate/calibration.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.report import charts
from metier.report.words import Words


def calibration(results: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """Everything of the section, ready to be laid out; None for tasks whose answers have no confidence."""
    block = results.get("calibration")
    if not block:
        return None
    n = words.count(block["validation"])
    return {
        "note": words("calibration.none" if block["why"] else "calibration.note", n=n),
        "said": [*_served(block, words), *_temperature(block, words), *_sets(block, words)],
        "picture": _picture(block, words),
    }


def _served(block: Mapping[str, Any], words: Words) -> list[str]:
    given = block["served"]
    if given is None:
        return []
    wanted = words.percent(given["wanted"])
    if given["threshold"] is None:
        return [words("calibration.nothing", wanted=wanted)]
    said = words(
        "calibration.served",
        threshold=words.percent(given["threshold"]),
        share=words.figure("accuracy", given["share"]),
        error=words.figure("accuracy", given["error"]),
        wanted=wanted,
    )
    return [said, *([words(f"calibration.kept.{given['kept']}")] if given["kept"] else []),
            *([words("calibration.observed")] if given["chosen"] == "observed" else [])]  # fmt: skip


def _temperature(block: Mapping[str, Any], words: Words) -> list[str]:
    fitted = block["temperature"]
    if fitted is None:
        return [words("calibration.temperature_none")] if block["served"] else []
    rows = fitted["metrics"]
    return [
        words(
            "calibration.temperature",
            temperature=words.plain(fitted["value"]),
            before=words.figure("ece", rows["ece"]["before"]),
            after=words.figure("ece", rows["ece"]["after"]),
        )
    ]


def _sets(block: Mapping[str, Any], words: Words) -> list[str]:
    told = block["sets"] or {"methods": {}}
    said = []
    for name, one in told["methods"].items():
        sentence = words(
            "calibration.intervals" if name == "interval" else "calibration.sets",
            level=words.percent(told["level"], 0),
            coverage=words.figure("accuracy", one["coverage"]),
            size=words.figure("size", one["size"]),
            **({} if name == "interval" else {"method": words(f"calibration.{name}")}),
        )
        said.append(sentence if one["kept"] == "yes" else f"{sentence} {words('calibration.sets_no')}")
    return said


def _picture(block: Mapping[str, Any], words: Words) -> Any:
    curve, given = block["risk_coverage"], block["served"] or {}
    if not curve or len(curve["points"]) < 2:
        return ""
    share = (given.get("share") or {}).get("value")
    mark = None if share is None else (share, words.percent(given["threshold"]))
    title = words("calibration.risk", aurc=words.figure("aurc", curve["aurc"]))
    return charts.risk_coverage(
        curve["points"], title, (words("calibration.risk_x"), words("calibration.risk_y")), mark
    )
