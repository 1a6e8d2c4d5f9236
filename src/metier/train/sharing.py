"""Examples that begin alike become one tree: what they share is computed once, then each goes its own way.

Purpose: k questions about one contract, or turns of one conversation, share a long prefix. A prefix trie finds it
without any annotation. A set of examples becomes one flat row: the nodes of the trie in depth-first order, positions
counted from the root, so that a branch sees its ancestors and itself and nothing else (`tree_attention.py`). For a
causal model that is exact: what a token sees, and so every hidden state and gradient, equals that of separate
sequences.
`families` decides, for a whole data set, which examples shall be trained in one step so that there is something to
share; `plant` makes the row of one such step.
Trade-off: members of a family stand in one batch, so batches are less random than single examples would be.
Not covered: prefixes that are equal as text but not as tokens; encoders, where the document would see the question.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]

SHORTEST = 16  # tokens; a shorter common beginning is computed again rather than made a node of its own
ROOT = -1


@dataclass(frozen=True)
class Example:
    """Token ids (n,) of one example for a causal model, and the weight of each token in the loss (n,), 0 for a prompt.

    The first token has no predecessor and is never learned; its weight must be 0.
    """

    ids: Array
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> int:
        """Tokens that bear loss."""
        return int(np.count_nonzero(self.weights))


@dataclass(frozen=True)
class Node:
    """A piece of a row that is the same for all examples that pass through it."""

    parent: int  # index of its node, ROOT for none
    start: int  # first token in the row
    stop: int  # one past its last token
    end: int  # one past the last token of its descendants; equal to `stop` for a leaf
    position: int  # of its first token, counted from the root


@dataclass(frozen=True)
class Row:
    """A forest, flat. N tokens, P pairs of (place that predicts, token to predict), E entries (pair, example)."""

    ids: Array  # (N,)
    positions: Array  # (N,)
    nodes: tuple[Node, ...]  # depth first
    predictor: Array  # (P,) row place of the token before the labelled one
    target: Array  # (P,) the labelled token
    pair: Array  # (E,) which pair an entry means
    example: Array  # (E,) whose loss it belongs to
    weight: NDArray[np.float32]  # (E,)
    examples: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ends(self) -> Array:
        """(N,) one past the last place that may look at each token: `j` sees `i` where `i <= j < ends[i]`."""
        return np.repeat([node.end for node in self.nodes], [node.stop - node.start for node in self.nodes])


def plant(examples: Sequence[Example], shortest: int = SHORTEST) -> Row:
    """The row of a set of examples; their order decides nothing but the numbers in `Row.example`.

    shortest: tokens that a common beginning must have to be shared; a value above every length shares nothing.
    """
    grower = _Grower(examples, shortest)
    order = sorted(range(len(examples)), key=lambda index: _alphabetical(examples[index].ids))
    grower.grow(order, ROOT, 0)
    return grower.row()


class _Grower:
    """Collects nodes, tokens and labelled pairs while the trie is walked."""

    def __init__(self, examples: Sequence[Example], shortest: int) -> None:
        self.examples, self.shortest = examples, shortest
        self.nodes: list[Node] = []
        self.ids: list[Array] = []
        self.length = 0
        self.pairs: dict[tuple[int, int], int] = {}
        self.entries: list[tuple[int, int, float]] = []  # pair, example, weight

    def grow(self, members: Sequence[int], parent: int, depth: int) -> None:
        """Nodes for `members` (sorted), which agree in their first `depth` tokens."""
        for group in self._groups(members, depth):
            shared = _common([self.examples[index].ids for index in group], depth) if len(group) > 1 else 0
            if len(group) > 1 and shared - depth >= self.shortest:
                node = self._node(self.examples[group[0]].ids[depth:shared], parent, depth, group)
                self.grow(group, node, shared)
                self.nodes[node] = self._ended(node)
            else:
                for index in sorted(group, key=lambda index: (len(self.examples[index]), index)):
                    if len(self.examples[index]) > depth:
                        self._node(self.examples[index].ids[depth:], parent, depth, [index])

    def _groups(self, members: Sequence[int], depth: int) -> Iterator[list[int]]:
        """Runs of members that agree in `shortest` further tokens; they are neighbours, because members are sorted."""
        group: list[int] = []
        for index in members:
            if group and not _agree(self.examples[group[0]].ids, self.examples[index].ids, depth, self.shortest):
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _node(self, ids: Array, parent: int, depth: int, group: Sequence[int]) -> int:
        start = self.length
        self.length += len(ids)
        self.ids.append(ids)
        self.nodes.append(Node(parent, start, self.length, self.length, depth))
        before = self.nodes[parent].stop - 1 if parent != ROOT else -1
        for index in group:
            weights = self.examples[index].weights[depth : depth + len(ids)]
            for offset in np.flatnonzero(weights).tolist():
                place = start + offset - 1 if offset else before
                assert place >= 0, "the first token of an example has no predecessor, so its weight must be 0"
                pair = self.pairs.setdefault((place, int(ids[offset])), len(self.pairs))
                self.entries.append((pair, index, float(weights[offset])))
        return len(self.nodes) - 1

    def _ended(self, index: int) -> Node:
        node = self.nodes[index]
        return Node(node.parent, node.start, node.stop, self.length, node.position)

    def row(self) -> Row:
        keys = np.array(list(self.pairs), np.int64).reshape(-1, 2)
        entries = np.array([entry[:2] for entry in self.entries], np.int64).reshape(-1, 2)
        positions = [np.arange(node.position, node.position + node.stop - node.start) for node in self.nodes]
        return Row(
            np.concatenate(self.ids) if self.ids else np.zeros(0, np.int64),
            np.concatenate(positions).astype(np.int64) if positions else np.zeros(0, np.int64),
            tuple(self.nodes), keys[:, 0], keys[:, 1], entries[:, 0], entries[:, 1],
            np.array([entry[2] for entry in self.entries], np.float32), len(self.examples),
        )  # fmt: skip


@dataclass(frozen=True)
class Families:
    """Which examples are trained together, and what that saves.

    members: each example once. tokens: length of each family's row. alone: tokens of all examples without sharing.
    divided: documents whose questions did not fit one row, so that the document is computed more than once.
    """

    members: tuple[tuple[int, ...], ...]
    tokens: tuple[int, ...]
    alone: int
    divided: int

    @property
    def saving(self) -> float:
        """How many times fewer tokens go through the model than without sharing, at least 1."""
        return self.alone / max(1, sum(self.tokens))


def families(examples: Sequence[Example], limit: int, seed: int = 0, shortest: int = SHORTEST) -> Families:
    """Groups of examples whose common beginning is at least as long as what follows it on average.

    limit: tokens of one row; a larger group is divided at random (by seed) and its beginning computed once a part.
    A beginning that is shorter than what follows (a system prompt) makes no family: its examples stay single and are
    shuffled freely; whatever meets in one batch shares it there all the same.
    """
    order = sorted(range(len(examples)), key=lambda index: _alphabetical(examples[index].ids))
    common = [0, *(_prefix(examples[a].ids, examples[b].ids) for a, b in pairwise(order))]
    found: list[tuple[int, ...]] = []
    divided = 0
    generator = random.Random(f"{seed}/families")
    for first, last, depth in _trees(common, [len(examples[index]) for index in order], shortest):
        members = order[first:last]
        parts = _divide(members, examples, depth, limit, generator)
        divided += len(parts) > 1
        found += parts
    found.sort()
    rows = [len(plant([examples[index] for index in members], shortest)) if len(members) > 1 else
            len(examples[members[0]]) for members in found]  # fmt: skip
    return Families(tuple(found), tuple(rows), sum(map(len, examples)), divided)


def _trees(common: Sequence[int], lengths: Sequence[int], shortest: int) -> Iterator[tuple[int, int, int]]:
    """(first, last, depth) of the largest runs of sorted examples whose common beginning pays; singles have depth 0.

    common[i] is what example i shares with example i - 1.
    """
    pending = [(0, len(lengths))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            if last > first:
                yield first, last, 0
            continue
        depth = min(common[first + 1 : last])
        rest = sum(lengths[first:last]) / (last - first) - depth
        if depth >= shortest and depth >= rest:
            yield first, last, depth
            continue
        cuts = [first, *(i for i in range(first + 1, last) if common[i] == depth), last]
        pending += [(a, b) for a, b in pairwise(cuts)]


def _divide(
    members: list[int], examples: Sequence[Example], depth: int, limit: int, generator: random.Random
) -> list[tuple[int, ...]]:
    """Members in parts whose rows hold at most `limit` tokens (an example alone may hold more)."""
    total = depth + sum(len(examples[index]) - depth for index in members)
    if total <= limit or len(members) == 1:
        return [tuple(sorted(members))]
    members = sorted(members)
    generator.shuffle(members)
    parts: list[list[int]] = []
    size = 0
    for index in members:
        rest = len(examples[index]) - depth
        if not parts or size + rest > limit:
            parts.append([])
            size = depth
        parts[-1].append(index)
        size += rest
    return [tuple(sorted(part)) for part in parts]


def _alphabetical(ids: Array) -> bytes:
    """Sorts as the token ids do, at the speed of bytes."""
    return ids.astype(">u4").tobytes()


def _prefix(one: Array, two: Array) -> int:
    """Number of tokens in which both begin alike."""
    length = min(len(one), len(two))
    different = np.flatnonzero(one[:length] != two[:length])
    return int(different[0]) if len(different) else length


def _common(sequences: Sequence[Array], depth: int) -> int:
    """Tokens in which all begin alike; they are sorted, so the first and the last decide."""
    return max(depth, _prefix(sequences[0], sequences[-1]))


def _agree(one: Array, two: Array, depth: int, tokens: int) -> bool:
    first, second = one[depth : depth + tokens], two[depth : depth + tokens]
    return len(first) == tokens and len(second) == tokens and bool((first == second).all())
