"""Near-duplicate pairs against brute force, and texts at the edges."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.prepare import minhash
from metier.prepare.minhash import band_shape, fold_loosely, jaccard, near_pairs, rank_sets, shingle_sets


def shingles(text: str) -> set[str]:
    widths = [2 if "\u3041" <= char <= "\u9fff" else 5 for char in text]
    return {text[i : i + width] for i, width in enumerate(widths) if i + width <= len(text)}


def true_jaccard(a: str, b: str) -> float:
    one, two = shingles(a), shingles(b)
    return len(one & two) / max(len(one | two), 1)


def variants(seed: int, bases: int, each: int) -> list[str]:
    """Random sentences, English and Chinese, each with variants of a few changed characters."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 8))) for _ in range(300)]
    texts = []
    for number in range(bases):
        base = (
            " ".join(draw.choices(words, k=12))
            if number % 2
            else "".join(chr(0x4E00 + draw.randrange(900)) for _ in range(40))
        )
        for _ in range(each):
            text = list(base)
            for _ in range(draw.randrange(4)):
                text[draw.randrange(len(text))] = draw.choice("xyz" if number % 2 else "的了是")
            texts.append("".join(text))
    return list(dict.fromkeys(texts))


def test_finds_what_brute_force_finds() -> None:
    texts = variants(1, 60, 6)
    want = {
        (i, j) for i in range(len(texts)) for j in range(i + 1, len(texts)) if true_jaccard(texts[i], texts[j]) >= 0.8
    }
    found = {(i, j): similarity for i, j, similarity in near_pairs(texts, 0.8, 128).pairs}
    assert len(want) > 100
    assert set(found) <= want
    assert len(want - set(found)) <= 0.02 * len(want)
    assert all(similarity == pytest.approx(true_jaccard(texts[i], texts[j])) for (i, j), similarity in found.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab 你好吗", max_size=25), min_size=2, max_size=8))
def test_jaccard_is_exact(texts: list[str]) -> None:
    pairs = np.array([(i, j) for i in range(len(texts)) for j in range(i + 1, len(texts))])
    want = [true_jaccard(texts[i], texts[j]) for i, j in pairs]
    assert jaccard(texts, pairs).tolist() == pytest.approx(want)
    assert jaccard(texts, pairs, rank_sets(texts)).tolist() == pytest.approx(want)


def test_many_pairs_of_one_text_are_counted_the_same() -> None:
    texts = variants(2, 2, 120)
    pairs = np.array([(0, j) for j in range(1, len(texts))] + [(1, 2)])
    assert jaccard(texts, pairs).tolist() == pytest.approx([true_jaccard(texts[i], texts[j]) for i, j in pairs])


def test_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = variants(3, 20, 5)
    whole = near_pairs(texts, 0.8, 128).pairs
    monkeypatch.setattr(minhash, "CHUNK", 100)
    monkeypatch.setattr(minhash, "CACHE", 0)
    monkeypatch.setattr(minhash, "BLOCK", 7)
    assert near_pairs(texts, 0.8, 128).pairs == whole


def test_order_of_texts_does_not_matter() -> None:
    texts = variants(4, 20, 5)
    turned = texts[::-1]
    names = {frozenset((texts[i], texts[j])) for i, j, _ in near_pairs(texts, 0.8, 128).pairs}
    assert names == {frozenset((turned[i], turned[j])) for i, j, _ in near_pairs(turned, 0.8, 128).pairs}


def test_short_texts_have_no_near_duplicates() -> None:
    offsets, _ = shingle_sets(["", "abcd", "好", "你好", "abcde"])
    assert np.diff(offsets).tolist() == [0, 0, 0, 1, 1]
    assert near_pairs(["", "abcd", "好", "abce"], 0.5, 64).pairs == []
    assert near_pairs([], 0.8, 128).pairs == []


def test_a_large_bucket_is_connected_and_bounded() -> None:
    base = "this notice is confidential and meant for the person named above only, please delete it if that is not you "
    texts = [fold_loosely(base + f"ref {number:04d}") for number in range(400)]
    found = near_pairs(texts, 0.8, 128)
    parent = list(range(len(texts)))
    for i, j, _ in found.pairs:
        minhash.join(parent, i, j)
    assert {minhash.root(parent, i) for i in range(len(texts))} == {0}
    assert not found.crowded


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_keep_the_promise(threshold: float) -> None:
    bands, rows = band_shape(threshold, 128)
    assert bands * rows <= 128
    assert (1 - threshold**rows) ** bands <= minhash.MISS


def test_loose_fold() -> None:
    assert fold_loosely("Where is my CARD?!  ") == fold_loosely("where is my card")
    assert fold_loosely("５６ 岁，男 性") == "56岁男性"
