"""Relations: what connects two marked stretches of a text (a drug and a protein, a party and a duty).

Purpose: the two are marked in the text itself (`<< aspirin >> inhibits [[ COX-1 ]]`, see `task.markers`), so the model
reads the marks; the head is a linear layer over three means of hidden states side by side: of the whole window, of the
first marked stretch and of the second (after Wu & He 2019, who take the first token for the whole).
The loss is one figure an example, cross-entropy over the relations; every token reaches it through the three means.
Trade-off: the head is none of Transformers' own classes and is saved beside a standard backbone (`head.safetensors`).
Not covered: finding what is to be marked (that is tagging), relations of more than two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import DEFAULT_LIMIT, Encoded, Encoder, Tokens, frame_of, tokens_of
from metier.train.tasks.base import TEXTS, Decoded, Profile, strings
from metier.train.tasks.classify import Classify

Range = tuple[int, int]


@register("task", "relate")
class Relate:
    """See `Task` for the members. Labels, loss and decoding are those of `classify` with one label."""

    longest = DEFAULT_LIMIT

    rows = TEXTS

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config, self.labels = config, Classify(config, state)
        self.outputs, self.problem_type = self.labels.outputs, self.labels.problem_type
        self.monitor_name = self.labels.monitor_name

    @property
    def classes(self) -> list[str]:
        """The relations."""
        return self.labels.classes

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        return Profile(
            "label", "classify", "accuracy", ("majority", "tfidf"), ("accuracy > tfidf", "accuracy > base"),
            kinds_of_answer=2, refuses=lambda text: refuses(text, config.markers),
        )  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Relate:
        """Read the relations and their frequencies from the training examples."""
        return cls(config, Classify.from_training(config, train).state())

    def pooling(self, wanted: str) -> str:
        return "spans"

    def encode(self, encoder: Encoder, examples: pa.Table, console: Any = None) -> Encoded:
        """One window a text with three parts: all of it, the first marked stretch, the second.

        Of a text that is too long the middle between the two is read; notes["far_apart"]: texts where one of them does
        not fit, whose part is then the whole window.
        """
        if not getattr(encoder.tokenizer, "is_fast", False):
            raise UserError("relations need to know which characters a token stands for, and this base's tokenizer "
                            "cannot say", "train.base_model", "choose a base with a tokenizer.json")  # fmt: skip
        frame, items = frame_of(encoder.tokenizer), []
        before, room = len(frame.before), encoder.max_length - len(frame.before) - len(frame.after)
        cut = cut_tokens = far = 0
        texts = strings(examples["text"])
        for text, found in zip(texts, encoder.tokenize(texts, console, offsets=True), strict=True):
            spans = [_tokens(found, place) for place in marked(text, self.config.markers) or ((0, 0), (0, 0))]
            start, end = _window(len(found.ids), spans, room)
            lost = len(found.ids) - (end - start)
            cut, cut_tokens = cut + (lost > 0), cut_tokens + lost
            whole = (0, before + end - start + len(frame.after))
            parts = [(max(first, start) - start + before, min(last, end) - start + before) for first, last in spans]
            far += any(first >= last for first, last in parts)
            kept = (whole, *(part if part[0] < part[1] else whole for part in parts))
            items.append(encoder.item(found.ids, [(start, end)], frame, (), (kept,)))
        return Encoded(tuple(items), tokens_of(items), 0, cut, cut_tokens, (), {"far_apart": far})

    def targets(self, examples: pa.Table, encoded: Encoded | None = None) -> Any:
        return self.labels.targets(examples)

    def loss(self, logits: Any, counts: Sequence[int], targets: Any, smoothing: float) -> Any:
        return self.labels.loss(logits, counts, targets, smoothing)

    def settle(self, logits: Any, counts: Sequence[int], targets: Any) -> None:
        """Nothing: each text is one window."""

    def decode(self, logits: np.ndarray, encoded: Encoded | None = None) -> Decoded:
        return self.labels.decode(logits)

    def monitor(self, logits: Any, counts: Sequence[int], targets: Any) -> float:
        return self.labels.monitor(logits, counts, targets)

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return self.labels.label_maps()

    def state(self) -> dict[str, Any]:
        return self.labels.state()


def marked(text: str, markers: Sequence[str]) -> tuple[Range, Range] | None:
    """Characters between the first pair of marks and between the second, without spaces at the edges; None unless each
    pair stands once, in either order. A single mark of a pair elsewhere (`pA2 >> 7`) is text.
    """
    found: list[Range] = []
    for opening, closing in (markers[:2], markers[2:]):
        start = text.find(opening)
        end = text.find(closing, start + len(opening)) if start >= 0 else -1
        again = text.find(opening, end) if end >= 0 else -1
        if end < 0 or (again >= 0 and text.find(closing, again) >= 0):
            return None
        start += len(opening)
        inner = text[start:end]
        place = (start + len(inner) - len(inner.lstrip()), start + len(inner.rstrip()))
        if place[0] >= place[1]:
            return None
        found.append(place)
    return found[0], found[1]


def refuses(text: str, markers: Sequence[str]) -> tuple[str, str] | None:
    """(reason, detail) for a text that does not mark two stretches once each."""
    if marked(text, markers) is not None:
        return None
    wanted = f"{markers[0]} first {markers[1]} and {markers[2]} second {markers[3]}"
    return "no marked spans", f"the text must hold {wanted}, each once (task.markers)"


def _tokens(found: Tokens, place: Range) -> Range:
    """The tokens that overlap these characters, from the first to the last (exclusive)."""
    inside = [i for i, (start, end) in enumerate(found.offsets) if start < place[1] and end > place[0]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _window(length: int, spans: Sequence[Range], room: int) -> Range:
    """The tokens that are read: all, or as many as fit around the middle of the two stretches."""
    if length <= room:
        return 0, length
    middle = (min(first for first, _ in spans) + max(last for _, last in spans)) // 2
    start = min(max(0, middle - room // 2), length - room)
    return start, start + room
