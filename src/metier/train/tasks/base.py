"""What a task must be able to do. A new task is one class with these members, behind the door `task`.

Purpose: all that any stage must know of a task stands in its class, so that N tasks and M methods stay N + M. The
network gives rows of logits, the task says what a row is and does everything with it: targets, loss, decoding.
Trade-off: a task's `Profile` names metrics and floors by string, because training may not know how things are judged.
Not covered: which weights move (methods/), how metrics and floors are computed (evaluate/).
Shapes: B examples, R rows of logits, K outputs. A row is a text, a window of a text, or a part of a text (`Task.rows`);
`counts` (B) says how many rows belong to each example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from metier.train.config import TaskConfig

# What a row of logits belongs to. EXAMPLES: an example of a task that writes; its row is the loss of its answer.
TEXTS, WINDOWS, PARTS, EXAMPLES = "texts", "windows", "parts", "examples"


@dataclass(frozen=True)
class Span:
    """A marked stretch of a text: characters from start to end (exclusive), and how sure the model is, in [0, 1]."""

    start: int
    end: int
    label: str
    score: float = 1.0


@dataclass(frozen=True)
class Decoded:
    """Predictions for n texts. Fields that a task does not use stay empty."""

    labels: list[str] = field(default_factory=list)  # (n,) the predicted label
    label_lists: list[list[str]] = field(default_factory=list)  # (n,) multi-label
    values: list[float] = field(default_factory=list)  # (n,) score
    scores: np.ndarray | None = None  # (n, classes) probabilities
    spans: list[list[Span]] = field(default_factory=list)  # (n,) tag, extract
    texts: list[str] = field(default_factory=list)  # (n,) what the model wrote
    finished: list[bool] = field(default_factory=list)  # (n,) it ended by a stop token, not by the limit
    bits: list[float] = field(default_factory=list)  # (n,) -log2 likelihood of the right answer, or of the text itself
    bytes: list[int] = field(default_factory=list)  # (n,) of UTF-8 that `bits` pay for
    tokens: list[int] = field(default_factory=list)  # (n,) hidden tokens that `bits` pay for
    stretches: list[list[tuple[int, int]]] = field(
        default_factory=list
    )  # (n,) characters that `bits` pay for, if not all
    margins: list[float] = field(default_factory=list)  # (n,) prefer: chosen minus rejected, nats a token
    raw_margins: list[float] = field(default_factory=list)  # (n,) prefer: chosen minus rejected, nats
    rotations: list[list[str]] = field(default_factory=list)  # (n,) choose: what is written for each rotation
    option_bits: list[list[float]] = field(default_factory=list)  # (n,) choose: -log2 likelihood of each option
    vectors: np.ndarray | None = None  # (n, C) embed, of length 1


@dataclass(frozen=True)
class Profile:
    """What the other stages must know of a task under its configuration; names are looked up behind their doors."""

    answer: str
    """The column of the examples that holds what is to be learned: label, value, spans, answers, answer, text, ..."""
    kind: str
    """How answers are compared: a name of evaluate/items.py."""
    primary: str
    """The metric that decides unless the recipe says otherwise."""
    floors: tuple[str, ...]
    """Floors it is held against where `evaluate.floors` says `auto`; others may be named."""
    accept: tuple[str, ...]
    """Criteria as examples, for messages and for a first recipe."""
    zero_shot: bool = False
    """The untouched base can answer by the names of the labels alone."""
    conversation: bool = False
    """The examples are conversations: `messages` up to the answer."""
    pipeline: str = "text-classification"
    """The Hub's name for the task, for the model card."""
    pair: bool = False
    """An example is two texts: a document, and a short one about it in the column `pair`."""
    kinds_of_answer: int = 0
    """Different labels that the examples must hold; 0: the answer is no label."""
    refuses: Callable[[str], tuple[str, str] | None] | None = None
    """(reason, detail) for a text that the task can do nothing with; it is rejected before anything is learned."""


class Task(Protocol):
    """Bound to its configuration and to what training saw (classes, class counts, mean and spread of values).

    Made by `from_training(config, train)` or, when a model is loaded, by the class itself from (config, state).
    """

    outputs: int  # width of the logits
    problem_type: str  # Transformers' name, stored with the weights
    monitor_name: str  # the validation figure that early stopping watches; higher is better
    rows: str  # TEXTS (windows averaged by the network), WINDOWS, PARTS or EXAMPLES
    longest: int  # tokens that the model sees at once where neither the recipe nor the base says less
    # A task that draws masks again for each epoch has `anew(inputs, epoch, seed)` -> inputs (pretrain.py), one that
    # depends on the kind of base `suit(config)`, called once the base's configuration is known.
    # A task whose loss compares the examples of a batch with each other also has `joint = True` (joint.py).

    @staticmethod
    def profile(config: TaskConfig) -> Profile: ...

    def pooling(self, wanted: str) -> str:
        """Which head is put on the base (see network.py); wanted: the recipe's `own` or `mean`, as resolved."""
        ...

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Any:
        """What the network reads of each example (an `Encoded`); needs the columns of the input only."""
        ...

    def targets(self, examples: pa.Table, encoded: Any) -> Sequence[Any]:
        """One tensor an example."""
        ...

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        """logits (R, K) float32, counts (B,), targets (B,) -> (B,) loss of each example."""
        ...

    def settle(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> None:
        """After training: choose on the validation split what no gradient teaches. Called where a row is a window, and
        for a task whose attribute `settles` is true."""
        ...

    def decode(self, logits: np.ndarray, encoded: Any) -> Decoded:
        """logits (R, K) of all examples -> predictions."""
        ...

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        """The figure named by monitor_name over a validation set."""
        ...

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        """id2label and label2id for the saved configuration; empty for regression."""
        ...

    def state(self) -> dict[str, Any]:
        """What `Task(config, state)` needs to answer as now; JSON."""
        ...


def profile(config: TaskConfig) -> Profile:
    """The profile of the recipe's task."""
    from metier.registry import lookup

    found: Profile = lookup("task", config.name).profile(config)
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise, in float64."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    exponents = np.exp(shifted)
    return exponents / exponents.sum(1, keepdims=True)


def strings(column: Any) -> list[str]:
    """An Arrow column as a list of str."""
    return [value or "" for value in column.to_pylist()]


def positions(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Index of each label in classes; -1 for one that training never saw."""
    index = {label: position for position, label in enumerate(classes)}
    return [index.get(label, -1) for label in labels]


COMBINE = ("mean", "max")


def combined(logits: Any, counts: Sequence[int], how: str) -> Any:
    """Logits (R, K) of windows -> (B, K) of examples: the mean over an example's windows, or the largest of each."""
    import torch

    if len(logits) == len(counts):
        return logits
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(logits.device)
    if how == "max":
        least = logits.new_full((len(counts), logits.shape[1]), float("-inf"))
        return least.scatter_reduce(0, owner[:, None].expand_as(logits), logits, "amax")
    sums = logits.new_zeros(len(counts), logits.shape[1]).index_add(0, owner, logits)
    return sums / torch.tensor(counts, device=logits.device)[:, None]


def short_texts(config: TaskConfig, examples: pa.Table) -> list[str] | None:
    """The second text of each example, or None where the task reads one text."""
    return strings(examples["pair"]) if profile(config).pair else None


def stacked(targets: Sequence[Any]) -> Any:
    """Targets of one shape as one tensor (B, ...)."""
    import torch

    return targets if isinstance(targets, torch.Tensor) else torch.stack(list(targets))
