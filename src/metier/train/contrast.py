"""The contrastive loss: a query's own passage against all other passages of the batch, and against hard negatives.

Purpose: InfoNCE (van den Oord et al. 2018) over in-batch negatives, where whatever may answer the query too is masked.
Shapes: R rows of vectors of length 1, those of one example after those of another: its query, its passage, its hard
negatives. counts (B): rows of each example. codes: for each example (rows, 2) of int64, family and group of each row.
A family is what must never be a negative of each other: equal passages, passages of equal queries, near duplicates; a
group is what the data calls one (a document, a patient), -1 for none. An example's own hard negatives were chosen for
it, so its group does not mask them.
Trade-off: similarities are computed for all queries and passages at once, in blocks of queries: time grows with the
square of the batch, memory does not.
Not covered: how vectors of a batch that does not fit into memory come together (`joint.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

BLOCK = 1024  # queries whose similarities are held at once
TOP = 10  # ranks beyond it count nothing in nDCG@10


class Layout(NamedTuple):
    """Where the rows of a batch belong; Q = B queries, P = R - B passages."""

    queries: torch.Tensor  # (B,) rows
    passages: torch.Tensor  # (P,) rows: own ones and hard negatives
    own: torch.Tensor  # (B,) place of each query's own passage among the passages
    owner: torch.Tensor  # (P,) the example that each passage came with
    query_codes: torch.Tensor  # (B, 2)
    passage_codes: torch.Tensor  # (P, 2)

    def masked(self, start: int, stop: int) -> torch.Tensor:
        """(stop - start, P) of bool: what is no negative of these queries; their own passages among it."""
        query, passage = self.query_codes[start:stop, None], self.passage_codes[None]
        own = torch.arange(start, stop, device=self.owner.device)[:, None] == self.owner[None]
        group = (query[..., 1] == passage[..., 1]) & (passage[..., 1] >= 0) & ~own
        return (query[..., 0] == passage[..., 0]) | group


def layout(counts: Sequence[int], codes: Sequence[torch.Tensor], device: torch.device) -> Layout:
    """The places of queries and passages among the rows of a batch."""
    sizes = torch.tensor(counts)
    starts = sizes.cumsum(0) - sizes
    passage = torch.ones(int(sizes.sum()), dtype=torch.bool)
    passage[starts] = False
    table = torch.cat(list(codes))
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    own = starts - torch.arange(len(sizes))  # a query fewer stands before it for each example before
    parts = (starts, passage.nonzero()[:, 0], own, owner[passage], table[starts], table[passage])
    return Layout(*(part.to(device) for part in parts))


def info_nce(
    vectors: torch.Tensor, counts: Sequence[int], codes: Sequence[torch.Tensor], scale: float, symmetric: bool = False
) -> torch.Tensor:
    """vectors (R, C) -> (B,): cross-entropy of each query's own passage among all passages that are not masked.

    symmetric: the mean of that and of each own passage's query among the queries.
    """
    places = layout(counts, codes, vectors.device)
    queries, passages = vectors[places.queries], vectors[places.passages]
    found = []
    for start, stop in _blocks(len(queries)):
        hidden, at = places.masked(start, stop), torch.arange(stop - start, device=vectors.device)
        hidden[at, places.own[start:stop]] = False
        similar = (queries[start:stop] @ passages.T * scale).masked_fill(hidden, -torch.inf)
        losses = nn.functional.cross_entropy(similar, places.own[start:stop], reduction="none")
        if symmetric:
            hidden = places.masked(start, stop)[:, places.own]  # who may answer whom holds both ways
            hidden[at, at + start] = False
            similar = (passages[places.own[start:stop]] @ queries.T * scale).masked_fill(hidden, -torch.inf)
            losses = (losses + nn.functional.cross_entropy(similar, at + start, reduction="none")) / 2
        found.append(losses)
    return torch.cat(found)


def ranks(vectors: torch.Tensor, counts: Sequence[int], codes: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B,) of int64, from 1: the place of each query's own passage among all; those of its family do not count.

    What is as similar as the own passage stands before it, so that equal vectors are no success.
    """
    places = layout(counts, codes, vectors.device)
    queries, passages = vectors[places.queries], vectors[places.passages]
    found = []
    for start, stop in _blocks(len(queries)):
        similar = queries[start:stop] @ passages.T
        own = similar.gather(1, places.own[start:stop, None])
        family = places.query_codes[start:stop, None, 0] == places.passage_codes[None, :, 0]
        found.append(((similar >= own) & ~family).sum(1) + 1)
    return torch.cat(found)


def gain(places: torch.Tensor) -> float:
    """nDCG@10 of one right passage a query: 1 / log2(1 + rank), 0 beyond the tenth; the mean."""
    gains = torch.where(places <= TOP, 1 / torch.log2(1 + places.double()), 0.0)
    return float(gains.mean())


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, BLOCK):
        yield start, min(start + BLOCK, n)
