"""Extraction: the words of a text that answer a question about it, or that the text holds no answer.

Purpose: two logits a token, how well an answer starts and ends there (Devlin et al. 2019, section 4.3), under the head
of `AutoModelForQuestionAnswering`. A text that is longer than the model sees is read in overlapping windows, with the
question in each. The first token of a window stands for "not in this window". Over all windows the span that beats its
own window's null by most is the best one; it is given if it does so by more than a threshold, settled on validation.
Learned: in each window the start and the end of the first gold answer that lies in it, by cross-entropy over its null
and the tokens of the text (never over those of the question). A window without any of a gold answer learns the null;
one that holds a part of an answer and no whole one learns nothing.
Trade-off: of several gold answers in one window the first is learned, and all count when answers are judged.
Not covered: answers of several pieces; answers that are no words of the text.
Shapes: R rows = for each window its null and the T tokens of the text in it; K = 2, start and end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import DEFAULT_LIMIT, PAIR_SHARE, Encoded, Encoder, frame_of, tokens_of
from metier.train.tasks.base import PARTS, Decoded, Profile, Span, strings

Range = tuple[int, int]
GIVEN, WITHHELD = "answer", "no answer"  # labels of a span: it is the answer, or it would be if there were one
SIZE, ANSWERABLE, START, END, GOLD = range(5)  # columns of a target; from GOLD on pairs of a start and an end
NULL, NOTHING = 0, -1  # rows of a window: its null; nothing to be learned


class Place(NamedTuple):
    """Where the tokens of a text stand in it, and which of them each window reads (from start to end, exclusive)."""

    text: str
    offsets: Sequence[Range]
    ranges: Sequence[Range]


class Best(NamedTuple):
    """The best span of a text: its window, the rows of its first and last token, and by how much it beats the null."""

    window: int
    first: int
    last: int
    lead: float


@register("task", "extract")
class Extract:
    """See `Task` for the members. state: the threshold."""

    longest = DEFAULT_LIMIT
    rows = PARTS
    outputs = 2
    problem_type = ""
    monitor_name = "answer F1"
    settles = True

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config = config
        self.threshold = float(state.get("threshold", 0.0))
        self.classes: list[str] = []

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        floors = ("best_sentence", "no_answer") if config.no_answer else ("best_sentence",)
        return Profile(
            "answers", "answers", "answer_f1", floors, ("answer_f1 > best_sentence", "answer_f1 > base"),
            pipeline="question-answering", pair=True,
        )  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Extract:
        """Nothing is read of the training examples but that there is something to learn."""
        if not any(train["answers"].to_pylist()):
            raise UserError("there is nothing to extract: no training question has an answer in its text",
                            "role answers", "check the answers of the training examples")  # fmt: skip
        return cls(config, {})

    def pooling(self, wanted: str) -> str:
        return "answers"

    def encode(self, encoder: Encoder, examples: pa.Table, console: Any = None) -> Encoded:
        """Windows of question and text; their parts are the null and each token of the text."""
        if not getattr(encoder.tokenizer, "is_fast", False):
            raise UserError("answers need to know which characters a token stands for, and this base's tokenizer "
                            "cannot say", "train.base_model", "choose a base with a tokenizer.json")  # fmt: skip
        frame, items, places = frame_of(encoder.tokenizer, pair=True), [], []
        most = max(1, (encoder.max_length - sum(map(len, frame[:3]))) // PAIR_SHARE)
        windowed = cut = cut_tokens = cut_questions = 0
        texts, questions = strings(examples["text"]), strings(examples["pair"])
        asked = encoder.tokenize(questions, console)
        for text, found in zip(texts, encoder.tokenize(texts, console, offsets=True), strict=True):
            question = list(next(asked).ids)
            lost, question = max(0, len(question) - most), question[:most]
            cut_questions += lost > 0
            ranges, beyond = encoder.ranges(len(found.ids), frame, len(question))
            lost += beyond
            windowed, cut, cut_tokens = windowed + (len(ranges) > 1), cut + (lost > 0), cut_tokens + lost
            head = len(frame.before) + len(question) + len(frame.between)
            parts = tuple((_one(0), *map(_one, range(head, head + end - start))) for start, end in ranges)
            items.append(encoder.item(found.ids, ranges, frame, question, parts))
            places.append(Place(text, found.offsets, ranges))
        notes = {"cut_questions": cut_questions}
        return Encoded(tuple(items), tokens_of(items), windowed, cut, cut_tokens, tuple(places), notes)

    def targets(self, examples: pa.Table, encoded: Encoded) -> list[Any]:
        """For each example (W, GOLD + 2 G) of int64, a row a window: see SIZE to GOLD; -1 where a gold answer does not
        lie in the window whole. Adds to encoded.notes which answers cannot be learned or given as they are marked.
        """
        import torch

        out, outside, inexact, long = [], 0, 0, 0
        for answers, place in zip(examples["answers"].to_pylist(), encoded.places, strict=True):
            gold = [(one["start"], one["end"]) for one in answers or []]
            tokens = [_tokens(place.offsets, one) for one in gold]
            table = _target(tokens, place.ranges)
            outside += bool(gold) and not (table[:, GOLD:] > NULL).any()
            inexact += sum(first < last and _characters(place, first, last - 1) != one
                           for one, (first, last) in zip(gold, tokens, strict=True))  # fmt: skip
            long += sum(last - first > self.config.max_answer_tokens for first, last in tokens)
            out.append(torch.from_numpy(table))
        encoded.notes.update(answers_outside=int(outside), inexact_answers=inexact, long_answers=long)
        return out

    def marks(self, encoded: Encoded, target: Any, row: int) -> list[dict[Range, str]]:
        """For each window of a text the tokens where an answer is learned to start and end, or its null."""
        out: list[dict[Range, str]] = []
        for parts, (start, end) in zip(encoded.items[row].parts, target[:, START : END + 1].tolist(), strict=True):
            if start == NOTHING:
                out.append({})
            elif start == NULL:
                out.append({parts[NULL]: "no answer here"})
            elif start == end:
                out.append({parts[start]: "start and end"})
            else:
                out.append({parts[start]: "start", parts[end]: "end"})
        return out

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        """Mean over the windows that something is learned from, of the mean of both cross-entropies; as
        `AutoModelForQuestionAnswering` has it where each text is one window. Smoothing is not for places."""
        import torch
        from torch.nn import functional

        rows = torch.cat([target[:, : END + 1] for target in targets]).to(logits.device)
        sizes = rows[:, SIZE]
        inside = torch.arange(int(sizes.max()), device=logits.device)[None] < sizes[:, None]
        table = logits.new_full((*inside.shape, 2), float("-inf"))
        table[inside] = logits
        gold = rows[:, START : END + 1]
        losses = functional.cross_entropy(table, gold, reduction="none", ignore_index=NOTHING).mean(1)
        owner = torch.repeat_interleave(torch.arange(len(targets)), torch.tensor([len(t) for t in targets]))
        owner = owner.to(logits.device)
        learned = torch.zeros(len(targets), device=logits.device).index_add(0, owner, (gold[:, 0] >= 0).float())
        return torch.zeros(len(targets), device=logits.device).index_add(0, owner, losses) / learned.clamp(min=1)

    def settle(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> None:
        """The threshold that makes the monitored figure largest; between two leads, the least of equally good ones."""
        if not self.config.no_answer or not len(targets):
            return
        judged = sorted(self._judged(logits.numpy(), targets), reverse=True)  # the surest first
        leads = np.array([lead for lead, _, _ in judged])
        gain = np.cumsum([given - withheld for _, given, withheld in judged])  # by giving all down to this one
        last = np.append(leads[1:] < leads[:-1], True)  # what has the same lead is given or withheld together
        best = max(np.flatnonzero(last), key=lambda at: (gain[at], at))
        if gain[best] <= 0:
            self.threshold = float(leads[0])  # nothing is better given
        else:
            below = leads[best + 1] if best + 1 < len(leads) else leads[best] - 2.0
            self.threshold = float((leads[best] + below) / 2)

    def decode(self, logits: np.ndarray, encoded: Encoded) -> Decoded:
        """The best span of each text, labelled GIVEN or WITHHELD; none for a text without tokens. Its score is the
        probability of the span against the null of its window."""
        found: list[list[Span]] = []
        sizes = [[1 + end - start for start, end in place.ranges] for place in encoded.places]
        for place, best in zip(encoded.places, self._bests(logits, sizes), strict=True):
            if best is None:
                found.append([])
                continue
            begin = place.ranges[best.window][0] - 1  # row 1 is the window's first token
            start, end = _characters(place, begin + best.first, begin + best.last)
            label = GIVEN if self._gives(best) else WITHHELD
            found.append([Span(start, end, label, float(1 / (1 + np.exp(-np.clip(best.lead, -50, 50)))))])
        return Decoded(spans=found)

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        """Mean over the questions of the F1 of the answer's tokens by their places; no answer is right where there is
        none."""
        judged = self._judged(logits.numpy(), targets)
        return float(np.mean([given if self._passes(lead) else withheld for lead, given, withheld in judged]))

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return {}, {}

    def state(self) -> dict[str, Any]:
        return {"threshold": self.threshold}

    def _gives(self, best: Best) -> bool:
        return self._passes(best.lead)

    def _passes(self, lead: float) -> bool:
        return not self.config.no_answer or lead > self.threshold

    def _judged(self, logits: np.ndarray, targets: Sequence[Any]) -> list[tuple[float, float, float]]:
        """For each example the lead of its best span, the figure if it is given, and the figure if it is withheld."""
        tables = [target.numpy() for target in targets]
        out = []
        for table, best in zip(tables, self._bests(logits, [table[:, SIZE] for table in tables]), strict=True):
            withheld = float(not table[0, ANSWERABLE])
            if best is None:
                out.append((-np.inf, withheld, withheld))
                continue
            gold = table[best.window, GOLD:].reshape(-1, 2)
            shared = [max(0, min(best.last, last) - max(best.first, first) + 1) for first, last in gold]
            sizes = [best.last - best.first + last - first + 2 for first, last in gold]
            given = max((2 * s / n for s, n, (f, _) in zip(shared, sizes, gold, strict=True) if f > NULL), default=0.0)
            out.append((best.lead, float(given), withheld))
        return out

    def _bests(self, logits: np.ndarray, sizes: Sequence[Sequence[int]]) -> Iterator[Best | None]:
        """The best span of each example; sizes: rows of its windows."""
        at = 0
        for windows in sizes:
            best: Best | None = None
            for number, size in enumerate(windows):
                found = best_span(logits[at : at + size], self.config.max_answer_tokens)
                at += size
                if found is not None and (best is None or found[2] > best.lead):
                    best = Best(number, *found)
            yield best


def best_span(logits: np.ndarray, most: int) -> tuple[int, int, float] | None:
    """(first row, last row, lead over the null) of the best span of at most so many tokens in one window; None for a
    window without tokens. logits (1 + T, 2)."""
    start, end = logits[1:, 0].astype(np.float64), logits[1:, 1].astype(np.float64)
    if not len(start):
        return None
    most = min(most, len(start))
    padded = np.concatenate([end, np.full(most - 1, -np.inf)])
    reach = np.lib.stride_tricks.sliding_window_view(padded, most)  # (T, most): ends within reach of each start
    furthest = reach.argmax(1)
    total = start + reach[np.arange(len(start)), furthest]
    first = int(total.argmax())
    lead = float(total[first] - float(logits[0, 0]) - float(logits[0, 1]))
    return 1 + first, 1 + first + int(furthest[first]), lead


def _target(tokens: Sequence[Range], ranges: Sequence[Range]) -> np.ndarray:
    """The target of one example; tokens: those of its gold answers, from start to end (exclusive), in the text."""
    table = np.full((len(ranges), GOLD + 2 * max(1, len(tokens))), NOTHING, dtype=np.int64)
    for row, (begin, finish) in zip(table, ranges, strict=True):
        row[SIZE], row[ANSWERABLE] = 1 + finish - begin, bool(tokens)
        touched = False
        for number, (first, last) in enumerate(tokens):
            touched |= first < finish and last > begin
            if begin <= first < last <= finish:
                row[GOLD + 2 * number : GOLD + 2 * number + 2] = 1 + first - begin, last - begin
        whole = np.flatnonzero(row[GOLD::2] > NULL)
        if len(whole):
            row[START : END + 1] = row[GOLD + 2 * whole[0] : GOLD + 2 * whole[0] + 2]
        elif not touched:
            row[START : END + 1] = NULL
    return table


def _tokens(offsets: Sequence[Range], place: Range) -> Range:
    """The tokens that overlap these characters, from the first to the last (exclusive); (0, 0) where there is none."""
    inside = [i for i, (start, end) in enumerate(offsets) if start < place[1] and end > place[0]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _characters(place: Place, first: int, last: int) -> Range:
    """The characters of tokens first to last (inclusive), without the spaces that some tokenizers count in."""
    start, end = place.offsets[first][0], max(stop for _, stop in place.offsets[first : last + 1])
    words = place.text[start:end]
    if not words.strip():
        return start, end
    return start + len(words) - len(words.lstrip()), end - len(words) + len(words.rstrip())


@cache
def _one(token: int) -> Range:
    """The part that is one token; kept, because a window names each of its tokens."""
    return token, token + 1
