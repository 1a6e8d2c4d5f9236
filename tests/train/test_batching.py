from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metier.train.batching import batches_per_epoch, inference_batches, micro_batches, plan_epoch

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 64), st.integers(0, 5))
def test_an_epoch_holds_every_example_once(lengths, batch_size, epoch):
    plan = plan_epoch(lengths, batch_size, seed=3, epoch=epoch)
    assert sorted(index for batch in plan.batches for index in batch) == list(range(len(lengths)))
    assert len(plan.batches) == batches_per_epoch(lengths, batch_size)
    assert all(plan.batches)


def test_batches_have_about_the_same_number_of_tokens():
    lengths = [8] * 300 + [400] * 100
    plan = plan_epoch(lengths, 16, seed=0, epoch=0)
    tokens = [sum(lengths[i] for i in batch) for batch in plan.batches]
    assert max(tokens) < 1.5 * sum(tokens) / len(tokens) + 400


def test_order_depends_on_seed_and_epoch_and_on_nothing_else():
    lengths = list(range(1, 200))
    first = plan_epoch(lengths, 8, 1, 0)
    assert first == plan_epoch(lengths, 8, 1, 0)
    assert first != plan_epoch(lengths, 8, 1, 1)
    assert first != plan_epoch(lengths, 8, 2, 0)


@given(LENGTHS, st.integers(1, 2000))
def test_micro_batches_keep_the_limit(lengths, limit):
    parts = micro_batches(range(len(lengths)), lengths, limit)
    assert [index for part in parts for index in part] == list(range(len(lengths)))
    assert all(len(part) == 1 or sum(lengths[i] for i in part) <= limit for part in parts)


@given(LENGTHS)
def test_inference_batches_hold_every_text_once(lengths):
    parts = inference_batches(lengths, 1000)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
