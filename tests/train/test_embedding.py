"""Vectors of texts from an untouched base: length one, and the same whatever stands beside a text."""

from pathlib import Path

import numpy as np
import pytest

from metier.train.bases import resolve
from metier.train.embedding import embedder


def test_vectors_depend_on_their_text_alone(tiny_base: Path) -> None:
    embed = embedder(resolve(str(tiny_base)))
    texts = ["my card is gone", "a loan", "my card is gone", "card " * 400]
    together = embed(texts)
    assert together.shape[0] == 4 and together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert together[0] == pytest.approx(together[2], abs=1e-6)
    for row, text in zip(together, texts, strict=True):
        assert embed([text])[0] == pytest.approx(row, abs=1e-4)
    assert float(together[0] @ together[1]) < 0.9999
