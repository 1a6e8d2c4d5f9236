"""Examples that begin alike become one row: nothing is lost, nothing is seen that should not be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.train.sharing import Example, families, plant


def example(ids: list[int], labelled: int = 1) -> Example:
    weights = np.zeros(len(ids), np.float32)
    weights[len(ids) - labelled :] = 1
    weights[0] = 0
    return Example(np.array(ids, np.int64), weights)


def paths(row) -> list[list[int]]:
    """What the last token of each leaf sees, itself included, in order."""
    leaves = [node for node in row.nodes if node.end == node.stop]
    places = np.arange(len(row))
    return [row.ids[(places < leaf.stop) & (row.ends > leaf.stop - 1)].tolist() for leaf in leaves]


SOME = st.lists(st.lists(st.integers(1, 2), min_size=2, max_size=12), min_size=1, max_size=8)


@given(SOME, st.integers(1, 4))
def test_every_example_is_a_path_from_a_root(lists: list[list[int]], shortest: int) -> None:
    row = plant([example(ids) for ids in lists], shortest)
    seen = {tuple(path) for path in paths(row)}
    inner = {tuple(ids) for ids in lists if tuple(ids) not in seen}
    assert seen <= {tuple(ids) for ids in lists}
    for ids in inner:  # an example that is the beginning of another one ends inside the tree
        assert any(path[: len(ids)] == ids for path in seen)


@given(SOME, st.integers(1, 4))
def test_positions_count_from_the_root_and_pairs_follow_the_tokens(lists: list[list[int]], shortest: int) -> None:
    examples = [example(ids, len(ids)) for ids in lists]
    row = plant(examples, shortest)
    for path_ends in (node.stop - 1 for node in row.nodes):
        visible = np.flatnonzero((np.arange(len(row)) <= path_ends) & (row.ends > path_ends))
        assert row.positions[visible].tolist() == list(range(len(visible)))
    entries = sorted(zip(row.example.tolist(), row.positions[row.predictor[row.pair]].tolist(),
                         row.target[row.pair].tolist(), strict=True))  # fmt: skip
    assert entries == sorted((n, place, ids[place + 1]) for n, ids in enumerate(lists) for place in range(len(ids) - 1))
    assert row.weight.sum() == sum(item.weights.sum() for item in examples)


def test_a_shared_beginning_is_there_once() -> None:
    document = list(range(100, 160))
    row = plant([example([*document, *range(n, n + 5)]) for n in (1, 20, 40)])
    assert len(row) == 60 + 3 * 5
    assert [node.parent for node in row.nodes] == [-1, 0, 0, 0]
    assert row.nodes[0].end == len(row)


def test_a_short_common_beginning_is_not_shared() -> None:
    row = plant([example([1, 2, 3, n, n, n]) for n in (7, 8)])
    assert len(row) == 12 and len(row.nodes) == 2


def test_equal_examples_share_their_computation_and_both_count() -> None:
    row = plant([example(list(range(30)), 3), example(list(range(30)), 3)])
    assert len(row) == 30 and len(row.predictor) == 3 and len(row.example) == 6


def test_the_first_token_cannot_bear_loss() -> None:
    with pytest.raises(AssertionError, match="no predecessor"):
        plant([Example(np.arange(4), np.ones(4, np.float32))])


def questions(documents: int, each: int, length: int, rest: int) -> list[Example]:
    draw = np.random.default_rng(0)
    heads = draw.integers(100, 999, (documents, length)).tolist()
    return [example([*head, *draw.integers(10, 99, rest)]) for head in heads for _ in range(each)]


def test_questions_about_one_document_are_a_family() -> None:
    found = families(questions(5, 4, 80, 10), limit=10_000)
    assert found.members == tuple(tuple(range(4 * n, 4 * n + 4)) for n in range(5))
    assert found.tokens == (120,) * 5
    assert found.saving == pytest.approx(4 * 90 / 120)
    assert found.divided == 0


def test_a_family_that_is_too_long_is_divided_and_told() -> None:
    found = families(questions(1, 20, 80, 10), limit=130)
    assert found.divided == 1
    assert sorted(index for members in found.members for index in members) == list(range(20))
    assert max(found.tokens) <= 130


def test_a_system_prompt_makes_no_family() -> None:
    draw = np.random.default_rng(1)
    shared = list(range(20))
    found = families([example([*shared, *draw.integers(30, 90, 60)]) for _ in range(6)], limit=10_000)
    assert all(len(members) == 1 for members in found.members)


def test_families_inside_a_system_prompt_are_found() -> None:
    prompt = list(range(500, 530))
    found = families([example([*prompt, *item.ids.tolist()]) for item in questions(3, 3, 90, 8)], limit=10_000)
    assert [len(members) for members in found.members] == [3, 3, 3]


@settings(max_examples=30)
@given(SOME, st.integers(4, 40))
def test_families_hold_each_example_once(lists: list[list[int]], limit: int) -> None:
    found = families([example(ids) for ids in lists], limit, shortest=2)
    assert sorted(index for members in found.members for index in members) == list(range(len(lists)))
    assert found.alone == sum(map(len, lists)) >= sum(found.tokens)
