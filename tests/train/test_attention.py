"""Flat attention equals attention over each sequence by itself, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from metier.train import attention

CASES = {
    "one": [7],
    "equal": [5, 5, 5],
    "near": [4, 5, 5, 6, 30, 33],
    "unsorted": [9, 2, 40, 3],
    "single tokens": [1, 1, 2],
    "long": [20, 600],
}


def reference(query, key, value, lengths, causal, window=None, softcap=None):
    pieces = []
    for q, k, v in zip(*(x.split(lengths, 2) for x in (query, key, value)), strict=True):
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        n = q.shape[2]
        distance = torch.arange(n)[:, None] - torch.arange(n)[None]
        mask = (distance >= 0) if causal else torch.ones(n, n, dtype=torch.bool)
        if window:
            mask &= distance.abs() < window
        if softcap:
            scores = torch.tanh(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 / softcap) * softcap
            pieces.append(scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v)
        else:
            pieces.append(scaled_dot_product_attention(q, k, v, attn_mask=mask))
    return torch.cat(pieces, 2).transpose(1, 2)


@pytest.mark.parametrize("lengths", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize(
    "options",
    [{}, {"is_causal": True}, {"is_causal": True, "sliding_window": 3}, {"is_causal": True, "softcap": 2.0},
     {"is_causal": False, "sliding_window": 4}],
    ids=["full", "causal", "causal window", "softcap", "window"],
)  # fmt: skip
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_equals_attention_by_sequence(lengths, options, kv_heads):
    torch.manual_seed(0)
    total = sum(lengths)
    tensors = [
        torch.randn(1, heads, total, 8, dtype=torch.float64, requires_grad=True) for heads in (4, kv_heads, kv_heads)
    ]
    with attention.layout(lengths):
        found, _ = attention.flat_attention(torch.nn.Module(), *tensors, None, **options)
    expected = reference(
        *tensors, lengths, options.get("is_causal", False), options.get("sliding_window"), options.get("softcap")
    )
    assert found.shape == (1, total, 4, 8)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    weights = torch.randn_like(expected)
    mine = torch.autograd.grad((found * weights).sum(), tensors)
    theirs = torch.autograd.grad((expected * weights).sum(), tensors)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_blocks_hold_every_token_once():
    lengths = [3, 4, 4, 9, 10, 50]
    cuts = attention.cut(lengths)
    assert sum(block.count for block in cuts.blocks) == len(lengths)
    row, packed = torch.arange(sum(lengths)), []
    for block, start in attention._starts(cuts):
        packed.append(attention._take(row[None, :, None], block, start)[0, :, 0])
    joined = torch.cat(packed)
    restored = joined if cuts.restore is None else joined[cuts.restore]
    assert torch.equal(restored, row)
    assert all(block.longest <= attention.SLACK * min(block.lengths) + 2 for block in cuts.blocks)
