"""The table of what replay is worth: figures and changes are those of the results, and what is missing is a dash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.primer.test_base_benchmark import load

REPLAY = load("benchmarks/replay.py")


def results(folder: Path, **metrics: tuple[float, float, float, float]) -> Path:
    """A run whose metrics have (base, tuned, low, high)."""
    models: dict[str, dict[str, Any]] = {"base": {}, "tuned": {}}
    comparisons = []
    for name, (base, tuned, low, high) in metrics.items():
        models["base"][name], models["tuned"][name] = {"value": base}, {"value": tuned}
        comparisons.append({"metric": name, "against": "base", "model": "tuned", "difference": tuned - base,
                            "low": low, "high": high})  # fmt: skip
    comparisons.insert(0, {"metric": "bits_per_byte", "against": "ngram", "model": "tuned", "difference": 9.0})
    folder.mkdir()
    told = {"name": folder.name, "models": models, "comparisons": comparisons}
    (folder / "results.json").write_text(json.dumps(told))
    return folder


def test_changes_are_percent_of_the_base(tmp_path: Path) -> None:
    run = results(tmp_path / "with", bits_per_byte=(2.0, 1.6, -0.44, -0.36),
                  general_bits_per_byte=(2.5, 2.51, -0.01, 0.04))  # fmt: skip
    cells = REPLAY.line(run)
    assert cells[:4] == ["with", "2.000", "1.600", "-20.0 % (-22.0 to -18.0), within -15 %"]
    assert cells[6] == "+0.4 % (-0.4 to +1.6), not surely within +1 %"


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    assert REPLAY.line(results(tmp_path / "alone", bits_per_byte=(2.0, 1.9, -0.2, 0.0)))[4:] == ["-", "-", "-"]
