"""The examples of a data set for a causal model, in the families that go through it together.

Purpose: what `Encoded` is for texts and windows, this is for examples that are learned token by token: the inputs of
the network, their lengths, and every token that did not fit. An input is a family of examples that begin alike
(sharing.py); losses come back in the order of the families and are put back into that of the rows here.
Shapes: F families, E examples, n rows of the table (a long text of `pretrain` has several examples).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metier.train.sharing import Example, Families, families


@dataclass(frozen=True)
class Grouped:
    """See the module. owner: (E,) the table's row of each example."""

    examples: tuple[Example, ...]
    owner: tuple[int, ...]
    rows: int
    groups: Families
    windowed: int = 0  # rows whose text was longer than the model reads at once
    cut: int = 0  # rows of which something was left out
    cut_tokens: int = 0  # how many tokens that were
    notes: dict[str, int] = field(default_factory=dict)
    by_token: bool = True  # every learned token weighs alike; False: every row

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def items(self) -> tuple[tuple[Example, ...], ...]:
        """(F,) the network's inputs."""
        return tuple(tuple(self.examples[index] for index in members) for members in self.groups.members)

    @property
    def tokens(self) -> int:
        """All tokens that the model will see."""
        return sum(self.groups.tokens)

    def lengths(self) -> list[int]:
        """(F,) tokens of each family's row."""
        return list(self.groups.tokens)

    def counts(self, rows: str) -> list[int]:
        """(F,) rows of logits of each family: one an example."""
        return [len(members) for members in self.groups.members]

    def sizes(self) -> list[int]:
        """(F,) rows of the table that each family belongs to."""
        return [len({self.owner[index] for index in members}) for members in self.groups.members]

    def weights(self) -> list[float]:
        """(F,) what each family counts in the loss of a batch: its labelled tokens, or its rows."""
        if not self.by_token:
            return [float(size) for size in self.sizes()]
        return [float(sum(self.examples[index].labelled for index in members)) for members in self.groups.members]

    def in_order(self, logits: Any) -> np.ndarray:
        """logits (E, 1) as the families give them -> (E,) float64 in the order of `examples`."""
        order = [index for members in self.groups.members for index in members]
        out = np.zeros(len(self.examples))
        out[order] = np.asarray(logits, dtype=np.float64)[:, 0]
        return out

    def by_row(self, amounts: np.ndarray) -> np.ndarray:
        """(E,) -> (n,) sums over the examples of each row."""
        return np.bincount(np.array(self.owner, np.int64), amounts, minlength=self.rows)

    @property
    def cut_share(self) -> float:
        """Of all tokens, each counted for every example that it belongs to, how many are not read."""
        return self.cut_tokens / max(1, self.cut_tokens + self.groups.alone)

    def loss_report(self) -> dict[str, int]:
        """The counts that the screen and the report show."""
        return {
            "texts": self.rows, "tokens": self.tokens, "windowed": self.windowed, "windows": len(self.examples),
            "cut": self.cut, "cut_tokens": self.cut_tokens, **self.notes,
        }  # fmt: skip


def singles(examples: Sequence[Example], owner: Sequence[int], rows: int, **counts: Any) -> Grouped:
    """Examples that share nothing: each is a family of its own."""
    lengths = tuple(map(len, examples))
    alone = Families(tuple((index,) for index in range(len(examples))), lengths, sum(lengths), 0)
    return Grouped(tuple(examples), tuple(owner), rows, alone, **counts)


def pairs(examples: Sequence[Example], **counts: Any) -> Grouped:
    """Examples 2i and 2i + 1 belong to row i and go through the model together, their common beginning once."""
    from metier.train.sharing import plant

    members = tuple((index, index + 1) for index in range(0, len(examples), 2))
    tokens = tuple(len(plant([examples[a], examples[b]])) for a, b in members)
    groups = Families(members, tokens, sum(map(len, examples)), 0)
    owner = tuple(index // 2 for index in range(len(examples)))
    return Grouped(tuple(examples), owner, len(members), groups, by_token=False, **counts)


def grouped(examples: Sequence[Example], limit: int, seed: int = 0, **counts: Any) -> Grouped:
    """One example a row, in families of at most `limit` tokens."""
    owner = tuple(range(len(examples)))
    return Grouped(tuple(examples), owner, len(examples), families(examples, limit, seed), **counts)
