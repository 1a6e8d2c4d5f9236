"""No operation does worse on Chinese than on English by more than 3 points of F1, on a small draw of its benchmark."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "texts.py"
PARITY = 0.03
LEAST = {"quality": 0.9, "boilerplate": 0.9, "sentences": 0.95, "correct": 0.0, "language": 0.9}


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("benchmark_of_texts", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module._cutters = lambda: {"ours": lambda text, said: {end for _, end in module.sentences(text)}}
    module._detectors = lambda: {"script": module.detect}
    return module


@pytest.mark.realdata
@pytest.mark.parametrize("name", sorted(LEAST))
def test_parity(name: str) -> None:
    if name != "sentences" and not (Path(os.environ.get("METIER_DATA_MIRROR", "")) / "general").is_dir():
        pytest.skip("METIER_DATA_MIRROR names no folder with general/ and legal/")
    scores = {score.language: score for score in benchmark().BENCHMARKS[name](True)}
    assert scores["zh"].f1 >= scores["en"].f1 - PARITY
    assert min(scores["zh"].f1, scores["en"].f1) >= LEAST[name]
    if name == "correct":
        assert min(scores["zh"].precision, scores["en"].precision) >= 0.95
