"""Texts to token windows, with every token that is not used counted.

Purpose: one place that knows special tokens, the model's limit, and what happens to a text that is too long:
`window` cuts it into overlapping windows, `cut` keeps the beginning. A pair of texts stands in each window as the
tokenizer arranges pairs: the second, short text first, then as much of the long one as fits.
Trade-off: windows cost as much as the text is long. Not covered: chat templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metier.console import Console
from metier.errors import UserError

DEFAULT_LIMIT = 512  # tokens; used where neither the recipe nor the model says less
CHUNK = 512  # texts tokenised at once, for progress
PAIR_SHARE = 2  # the short text of a pair gets at most one window's 1/2


class Item(NamedTuple):
    """One example as the network reads it. W windows of token ids, special tokens included."""

    windows: tuple[tuple[int, ...], ...]  # (W,)
    types: tuple[tuple[int, ...], ...] = ()  # (W,) token types of pairs, where the model has them
    parts: tuple[tuple[tuple[int, int], ...], ...] = ()  # (W,) tokens from start to end (exclusive) of each row


@dataclass(frozen=True)
class Encoded:
    """What the network reads of each text, and what did not fit."""

    items: tuple[Item, ...]
    tokens: int  # that the model will see
    windowed: int  # texts that became more than one window
    cut: int  # texts of which something was left out
    cut_tokens: int  # how many tokens that were
    places: tuple[Any, ...] = ()  # for each text, where its rows stand in it; the task that encoded it knows how
    notes: dict[str, int] = field(default_factory=dict)  # further counts of the task, by name

    def __len__(self) -> int:
        return len(self.items)

    def lengths(self) -> list[int]:
        """Tokens of each text, over all its windows."""
        return [sum(map(len, item.windows)) for item in self.items]

    def counts(self, rows: str) -> list[int]:
        """Rows of logits of each text, where a row is a text, a window or a part."""
        if rows == "parts":
            return [sum(map(len, item.parts)) for item in self.items]
        return [len(item.windows) if rows == "windows" else 1 for item in self.items]

    def sizes(self) -> list[int]:
        """Examples in each of the network's inputs."""
        return [1] * len(self.items)

    def weights(self) -> list[float]:
        """What each input counts in the loss of a batch: every text alike."""
        return [1.0] * len(self.items)

    @property
    def cut_share(self) -> float:
        """Of all tokens, how many are not read."""
        return self.cut_tokens / max(1, self.cut_tokens + self.tokens)

    def loss_report(self) -> dict[str, int]:
        """The counts that the screen and the report show."""
        return {
            "texts": len(self.items), "tokens": self.tokens, "windowed": self.windowed,
            "windows": sum(len(item.windows) for item in self.items), "cut": self.cut, "cut_tokens": self.cut_tokens,
            **self.notes,
        }  # fmt: skip


class Frame(NamedTuple):
    """The special tokens around a text, or before, between and after two; token types of their three parts."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[int, int] | None = None  # of the first text (with what is before and between) and of the second


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with the recipe's rule for long texts."""

    tokenizer: Any
    max_length: int
    long_text: str = "window"
    max_windows: int = 8
    overlap: int = 32
    batch_tokens: int = 16384  # that go through the model at once; examples that share a beginning make no larger row

    def encode(
        self, texts: Sequence[str], console: Console | None = None, title: str = "tokenising",
        pairs: Sequence[str] | None = None,
    ) -> Encoded:  # fmt: skip
        """Token windows of each text; an empty text becomes one window of special tokens only.

        pairs: the short text that goes with each text; its part beyond half a window is cut, and counted.
        """
        frame = frame_of(self.tokenizer, pairs is not None)
        most = max(1, (self.max_length - len(frame.before) - len(frame.between) - len(frame.after)) // PAIR_SHARE)
        items: list[Item] = []
        windowed = cut = cut_tokens = 0
        asked = iter(self.tokenize(pairs, console, title)) if pairs is not None else None
        for found in self.tokenize(texts, console, title):
            short = list(next(asked).ids) if asked is not None else []
            lost = max(0, len(short) - most)
            ranges, beyond = self.ranges(len(found.ids), frame, len(short) - lost)
            lost += beyond
            windowed, cut, cut_tokens = windowed + (len(ranges) > 1), cut + (lost > 0), cut_tokens + lost
            items.append(self.item(found.ids, ranges, frame, short[:most]))
        return Encoded(tuple(items), tokens_of(items), windowed, cut, cut_tokens)

    def tokenize(
        self, texts: Sequence[str], console: Console | None = None, title: str = "tokenising", offsets: bool = False
    ) -> Iterator[Tokens]:
        """The tokens of each text, without special ones. A text that stands there again is not tokenised again."""
        known: dict[str, Tokens] = {}
        with (console or Console(quiet=True)).progress(title, len(texts), "texts") as meter:
            for start in range(0, len(texts), CHUNK):
                chunk = [text or "" for text in texts[start : start + CHUNK]]
                new = list(dict.fromkeys(text for text in chunk if text not in known))
                if new:
                    answer = self.tokenizer(
                        new, add_special_tokens=False, verbose=False,
                        **({"return_offsets_mapping": True} if offsets else {}),
                    )  # fmt: skip
                    where = answer["offset_mapping"] if offsets else [()] * len(new)
                    known = dict(zip(new, map(Tokens, answer["input_ids"], where), strict=True)) | {
                        text: known[text] for text in chunk if text in known
                    }
                yield from (known[text] for text in chunk)
                meter.advance(len(chunk))

    def ranges(self, length: int, frame: Frame, taken: int = 0) -> tuple[list[tuple[int, int]], int]:
        """Where the windows of a text of so many tokens start and end, and the number of tokens in none of them.

        taken: tokens of each window that another text needs.
        """
        room = self.max_length - len(frame.before) - len(frame.between) - len(frame.after) - taken
        if room < 1:
            raise UserError(f"max_length {self.max_length} leaves no room for text", "train.max_length", "raise it")
        if length <= room:
            return [(0, length)], 0
        if self.long_text == "cut":
            return [(0, room)], length - room
        step = room - min(self.overlap, room // 2)
        starts = list(range(0, max(length - room, 0) + step, step))[: self.max_windows]
        return [(start, min(start + room, length)) for start in starts], length - min(length, starts[-1] + room)

    def item(
        self, ids: Sequence[int], ranges: Sequence[tuple[int, int]], frame: Frame, short: Sequence[int] = (),
        parts: tuple[tuple[tuple[int, int], ...], ...] = (),
    ) -> Item:  # fmt: skip
        """The windows as the network reads them. short: the first text of a pair; parts: see Item."""
        head = [*frame.before, *short, *frame.between]
        windows = tuple((*head, *ids[start:end], *frame.after) for start, end in ranges)
        if frame.types is None:
            return Item(windows, (), parts)
        first, second = frame.types
        types = tuple((first,) * len(head) + (second,) * (len(window) - len(head)) for window in windows)
        return Item(windows, types, parts)


class Tokens(NamedTuple):
    """Token ids of a text and, if asked for, the characters from start to end (exclusive) that each stands for."""

    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]


def tokens_of(items: Sequence[Item]) -> int:
    """All tokens that the model will see."""
    return sum(len(window) for item in items for window in item.windows)


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text, found by asking it rather than by its class."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return list(full[:start]), list(full[start + len(bare) :])
    return [], []


def frame_of(tokenizer: Any, pair: bool = False) -> Frame:
    """The special tokens of one text or of a pair, as the tokenizer itself places them.

    A tokenizer that knows no arrangement for pairs gets its own separator, end token or line break between the two.
    """
    before, after = special_tokens(tokenizer)
    if not pair:
        return Frame(before, [], after)
    first, second = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("a", "b"))
    whole = tokenizer("a", "b", add_special_tokens=True)
    full = list(whole["input_ids"])
    starts = [i for i in range(len(full)) if full[i : i + len(first)] == first]
    for start in starts:
        end = start + len(first)
        for other in range(end + 1, len(full) - len(second) + 1):
            if full[other : other + len(second)] == second:
                types = whole.get("token_type_ids")
                distinct = (types[start], types[other]) if types and len(set(types)) > 1 else None
                return Frame(full[:start], full[end:other], full[other + len(second) :], distinct)
    marks = [getattr(tokenizer, name, None) for name in ("sep_token_id", "eos_token_id")]
    between = [mark for mark in marks if mark is not None][:1]
    return Frame(before, between or list(tokenizer("\n", add_special_tokens=False)["input_ids"]), after)


def limit(config: Any, tokenizer: Any, wanted: int | None, usual: int = DEFAULT_LIMIT) -> int:
    """Tokens the model sees at once: the recipe's wish within what model and tokenizer allow; else `usual`, at most."""
    own = [
        value - _position_offset(config)
        for name in ("max_position_embeddings", "n_positions")
        if isinstance(value := getattr(config, name, None), int) and value > 0
    ]
    stated = getattr(tokenizer, "model_max_length", None)
    own += [stated] if isinstance(stated, int) and 0 < stated < 10**9 else []
    most = min(own, default=10**9)
    if wanted and wanted > most:
        raise UserError(
            f"the base reads at most {most} tokens at once, the recipe asks for {wanted}", "train.max_length",
            f"set it to {most} or less; long texts are read in windows (train.long_text: window)",
        )  # fmt: skip
    return wanted or min(most, usual)


def _position_offset(config: Any) -> int:
    """RoBERTa-like models number positions from padding_idx + 1, so that many table rows are unusable."""
    kinds = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet", "longformer")
    return (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in kinds else 0
