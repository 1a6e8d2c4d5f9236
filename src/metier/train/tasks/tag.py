"""Tagging of entities: which stretches of a text are of which type (drug, disease, person, ...).

Purpose: each unit of a text (word, sign, Chinese character; see bio.py) gets a tag O, B-type or I-type by a linear
layer over its hidden state; the best sequence that BIO allows becomes spans of characters. A long text is read in
overlapping windows, and each unit is answered in the window where it stands furthest from an edge.
The loss mask: cross-entropy at the first token of each unit (`task.sub_tokens: mean`: at the mean over its tokens), and
nowhere else: not at special tokens, not at the later tokens of a word, not in the overlap that another window answers.
Every unit weighs the same, whatever the length of its text.
Trade-off: entities that overlap another one cannot be tagged (they are counted, and count as missed in the test).
Not covered: entities in several pieces; tokenizers without offsets ("slow" ones).
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
from metier.train.tasks import bio
from metier.train.tasks.base import PARTS, Decoded, Profile, softmax, strings

Range = tuple[int, int]


@register("task", "tag")
class Tag:
    """See `Task` for the members. state: types, and the mean number of units in a training text."""

    longest = DEFAULT_LIMIT

    rows = PARTS
    problem_type = ""
    monitor_name = "entity F1"

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config, self.types = config, list(state["types"])
        self.units = float(state["units"])
        self.outputs = 1 + 2 * len(self.types)

    @property
    def classes(self) -> list[str]:
        """The types of entities."""
        return self.types

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        return Profile(
            "spans", "spans", "entity_f1", ("dictionary", "linear_tagger"),
            ("entity_f1 > linear_tagger", "entity_f1 > dictionary"),
            pipeline="token-classification", kinds_of_answer=1,
        )  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Tag:
        """Read the types and the usual length of a text from the training examples."""
        types = sorted({span["label"] for spans in train["spans"].to_pylist() for span in spans or []})
        if not types:
            raise UserError("there is nothing to tag: no training text has an entity", "role spans",
                            "check the spans or tags of the training examples")  # fmt: skip
        sizes = [len(bio.units(text)) for text in strings(train["text"])]
        return cls(config, {"types": types, "units": max(1.0, sum(sizes) / len(sizes))})

    def pooling(self, wanted: str) -> str:
        return "tokens"

    def encode(self, encoder: Encoder, examples: pa.Table, console: Any = None) -> Encoded:
        """Windows with one part a unit; `places` holds the characters of each unit that is read."""
        if not getattr(encoder.tokenizer, "is_fast", False):
            raise UserError("tagging needs to know which characters a token stands for, and this base's tokenizer "
                            "cannot say", "train.base_model", "choose a base with a tokenizer.json")  # fmt: skip
        frame, items, places = frame_of(encoder.tokenizer), [], []
        windowed = cut = cut_tokens = unread = 0
        texts = strings(examples["text"])
        for text, found in zip(texts, encoder.tokenize(texts, console, offsets=True), strict=True):
            ranges, lost = encoder.ranges(len(found.ids), frame)
            windowed, cut, cut_tokens = windowed + (len(ranges) > 1), cut + (lost > 0), cut_tokens + lost
            words = bio.units(text)
            parts, read = _parts(text, words, found, ranges, len(frame.before), self.config.sub_tokens == "first")
            unread += len(words) - len(read)
            items.append(encoder.item(found.ids, ranges, frame, (), parts))
            places.append(read)
        notes = {"unread_units": unread}
        return Encoded(tuple(items), tokens_of(items), windowed, cut, cut_tokens, tuple(places), notes)

    def targets(self, examples: pa.Table, encoded: Encoded) -> list[Any]:
        """For each text its tags (U,) of int64. Adds to encoded.notes what cannot be tagged as it is marked."""
        import torch

        codes, out = {name: code for code, name in enumerate(self.types)}, []
        overlapping = inexact = 0
        for spans, places in zip(examples["spans"].to_pylist(), encoded.places, strict=True):
            known = [(s["start"], s["end"], codes[s["label"]]) for s in spans or [] if s["label"] in codes]
            tags, over, within = bio.tags_of(known, places)
            overlapping, inexact = overlapping + over, inexact + within
            out.append(torch.tensor(tags, dtype=torch.int64))
        encoded.notes.update(overlapping_spans=overlapping, inexact_spans=inexact)
        return out

    def marks(self, encoded: Encoded, target: Any, row: int) -> list[dict[Range, str]]:
        """For each window of a text its units (tokens from start to end, exclusive) and the tag learned at each."""
        names, tags = bio.tag_names(self.types), iter(target.tolist())
        return [{part: names[next(tags)] for part in window} for window in encoded.items[row].parts]

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        """The sum over a text's units, divided by the mean number of units in a text: every unit weighs the same."""
        import torch

        from metier.train.losses import cross_entropy

        gold = torch.cat(list(targets)).to(logits.device)
        losses = cross_entropy(logits, gold, None, smoothing)
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(logits.device)
        return torch.zeros(len(counts), device=logits.device).index_add(0, owner, losses) / self.units

    def settle(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> None:
        """Nothing: each unit is answered in one window."""

    def decode(self, logits: np.ndarray, encoded: Encoded) -> Decoded:
        counts = encoded.counts(PARTS)
        if not sum(counts):
            return Decoded(spans=[[] for _ in counts])
        tags, sure = bio.viterbi(logits, counts), softmax(logits)
        found, at = [], 0
        for places in encoded.places:
            end = at + len(places)
            chosen = sure[np.arange(at, end), tags[at:end]]
            found.append(bio.spans_of(tags[at:end].tolist(), places, self.types, chosen.tolist()))
            at = end
        return Decoded(spans=found)

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        """F1 of whole entities, exact in boundaries and type, over all texts."""
        tags, at = bio.viterbi(logits.numpy(), counts), 0
        right = given = answered = 0
        for size, target in zip(counts, targets, strict=True):
            gold, found = set(bio.runs(target.tolist())), set(bio.runs(tags[at : at + size].tolist()))
            right, given, answered = right + len(gold & found), given + len(gold), answered + len(found)
            at += size
        return 2 * right / max(1, given + answered)

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        names = bio.tag_names(self.types)
        return dict(enumerate(names)), {name: index for index, name in enumerate(names)}

    def state(self) -> dict[str, Any]:
        return {"types": self.types, "units": self.units}


def _parts(
    text: str, words: Sequence[Range], found: Tokens, ranges: Sequence[Range], before: int, first_only: bool
) -> tuple[tuple[tuple[Range, ...], ...], list[Range]]:
    """For each window the tokens of the units that are answered in it; and the units that some window answers.

    A unit without a token of its own (two signs in one token) shares the token that its first character stands in.
    """
    owned: list[list[Range]] = [[] for _ in ranges]
    read: list[Range] = []
    starts = [_first_character(text, offset) for offset in found.offsets]
    token, last = 0, len(starts)
    for start, end in words:
        while token < last and starts[token] < start:
            token += 1
        stop = token
        while stop < last and starts[stop] < end:
            stop += 1
        first, after = (token, stop) if stop > token else (token - 1, token)  # none of its own: the one before
        if first < 0 or (stop == token and found.offsets[first][1] <= start):
            continue  # characters that the tokenizer drops
        window = _window(first, after, ranges)
        if window is None:
            continue
        begin, finish = ranges[window]
        shift, after = before - begin, min(after, finish)
        owned[window].append((first + shift, (first + 1 if first_only else after) + shift))
        read.append((start, end))
    return tuple(map(tuple, owned)), read


def _first_character(text: str, offset: Range) -> int:
    """Where the first visible character of a token stands; some tokenizers count the space before a word in."""
    start, end = offset
    while start < end - 1 and text[start].isspace():
        start += 1
    return start


def _window(first: int, after: int, ranges: Sequence[Range]) -> int | None:
    """The window in which tokens from first to after stand furthest from an edge; edges of the text do not count."""
    best, chosen = -1.0, None
    for index, (begin, finish) in enumerate(ranges):
        if begin <= first < finish:
            left = float("inf") if begin == 0 else first - begin
            right = float("inf") if finish == ranges[-1][1] else max(0, finish - after)
            if min(left, right) > best:
                best, chosen = min(left, right), index
    return chosen
