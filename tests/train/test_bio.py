"""Units, tags and the best allowed sequence, against definitions and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.train.tasks import bio

MIXED = "Aspirin(500mg) 治疗头痛, B12-Mangel"


def test_units_are_words_signs_and_wide_characters() -> None:
    found = [MIXED[start:end] for start, end in bio.units(MIXED)]
    assert found == ["Aspirin", "(", "500mg", ")", "治", "疗", "头", "痛", ",", "B12", "-", "Mangel"]


@given(st.text())
def test_units_cover_every_visible_character_once(text: str) -> None:
    places = bio.units(text)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(places))
    covered = "".join(text[start:end] for start, end in places)
    assert covered == "".join(text.split())


@pytest.mark.parametrize(
    ("spans", "tags", "overlapping", "inexact"),
    [
        ([(0, 3, 0)], [1, 0, 0, 0], 0, 0),
        ([(0, 7, 1)], [3, 4, 0, 0], 0, 0),
        ([(0, 3, 0), (4, 7, 0)], [1, 1, 0, 0], 0, 0),  # two neighbours stay two
        ([(0, 7, 0), (4, 7, 1)], [1, 2, 0, 0], 1, 0),  # the longer one wins
        ([(1, 6, 0)], [1, 2, 0, 0], 0, 1),  # begins and ends within a word
        ([(90, 95, 0)], [0, 0, 0, 0], 0, 0),  # beyond what is read
    ],
)
def test_spans_become_tags(spans, tags, overlapping, inexact) -> None:  # type: ignore[no-untyped-def]
    assert bio.tags_of(spans, bio.units("aaa bbb ccc ddd")) == (tags, overlapping, inexact)


@given(st.data())
def test_tags_and_spans_are_one_another(data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(["ab", "治", "c"]), min_size=1, max_size=8))
    text = " ".join(words)
    places = bio.units(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(places)), max_size=6)))
    runs = [(a, b, data.draw(st.integers(0, 2))) for a, b in itertools.pairwise(cuts)]
    spans = [(places[a][0], places[b - 1][1], code) for a, b, code in runs]
    tags, overlapping, inexact = bio.tags_of(spans, places)
    assert (overlapping, inexact) == (0, 0) and bio.runs(tags) == runs
    found = bio.spans_of(tags, places, ["x", "y", "z"], [1.0] * len(tags))
    assert [(s.start, s.end, "xyz".index(s.label)) for s in found] == spans


def test_an_inside_without_its_beginning_begins_an_entity() -> None:
    assert bio.runs([2, 2, 0, 4, 2]) == [(0, 2, 0), (3, 4, 1), (4, 5, 0)]


def _legal(path: tuple[int, ...]) -> bool:
    return all(tag % 2 or not tag or (i > 0 and path[i - 1] in (tag - 1, tag)) for i, tag in enumerate(path))


@pytest.mark.parametrize("learned", [False, True])
def test_viterbi_is_the_best_of_all_allowed_sequences(learned: bool) -> None:
    draw = np.random.default_rng(0)
    counts = [3, 0, 1, 4, 2]
    logits = draw.normal(size=(sum(counts), 5))
    steps = draw.normal(size=(5, 5)) if learned else None
    found, at = bio.viterbi(logits, counts, steps), 0

    def score(path: tuple[int, ...], start: int) -> float:
        own = sum(logits[start + i, tag] for i, tag in enumerate(path))
        return own + (sum(steps[a, b] for a, b in itertools.pairwise(path)) if steps is not None else 0.0)

    for size in counts:
        paths = [path for path in itertools.product(range(5), repeat=size) if _legal(path)]
        best = max(paths, key=lambda path: score(path, at))
        assert tuple(found[at : at + size].tolist()) == best
        at += size
