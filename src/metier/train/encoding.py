"""Texts to token windows, with every token that is not used counted.

Purpose: one place that knows special tokens, the model's limit, and what happens to a text that is too long:
`window` cuts it into overlapping windows (the model's outputs are averaged over them), `cut` keeps the beginning.
Trade-off: windows cost as much as the text is long. Not covered: chat templates and pairs of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metier.console import Console
from metier.errors import UserError

DEFAULT_LIMIT = 512  # tokens; used where neither the recipe nor the model says less
CHUNK = 512  # texts tokenised at once, for progress


@dataclass(frozen=True)
class Encoded:
    """Windows of token ids for each text, and what did not fit."""

    windows: tuple[tuple[tuple[int, ...], ...], ...]  # text -> windows -> ids, special tokens included
    tokens: int  # that the model will see
    windowed: int  # texts that became more than one window
    cut: int  # texts of which something was left out
    cut_tokens: int  # how many tokens that were

    def __len__(self) -> int:
        return len(self.windows)

    def lengths(self) -> list[int]:
        """Tokens of each text, over all its windows."""
        return [sum(map(len, windows)) for windows in self.windows]

    def loss_report(self) -> dict[str, int]:
        """The counts that the screen and the report show."""
        return {
            "texts": len(self.windows), "tokens": self.tokens, "windowed": self.windowed,
            "windows": sum(map(len, self.windows)), "cut": self.cut, "cut_tokens": self.cut_tokens,
        }  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with the recipe's rule for long texts."""

    tokenizer: Any
    max_length: int
    long_text: str = "window"
    max_windows: int = 8
    overlap: int = 32

    def encode(self, texts: Sequence[str], console: Console | None = None, title: str = "tokenising") -> Encoded:
        """Token windows of each text; an empty text becomes one window of special tokens only."""
        prefix, suffix = special_tokens(self.tokenizer)
        room = self.max_length - len(prefix) - len(suffix)
        if room < 1:
            raise UserError(f"max_length {self.max_length} leaves no room for text", "train.max_length", "raise it")
        out: list[tuple[tuple[int, ...], ...]] = []
        windowed = cut = cut_tokens = 0
        meter_owner = (console or Console(quiet=True)).progress(title, len(texts), "texts")
        with meter_owner as meter:
            for start in range(0, len(texts), CHUNK):
                chunk = [text or "" for text in texts[start : start + CHUNK]]
                for ids in self.tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]:
                    pieces, lost = self._pieces(ids, room)
                    windowed += len(pieces) > 1
                    cut += lost > 0
                    cut_tokens += lost
                    out.append(tuple(tuple(prefix + piece + suffix) for piece in pieces))
                meter.advance(len(chunk))
        return Encoded(tuple(out), sum(len(w) for text in out for w in text), windowed, cut, cut_tokens)

    def _pieces(self, ids: list[int], room: int) -> tuple[list[list[int]], int]:
        """Cut ids into pieces of at most `room`; returns them and the number of tokens left out."""
        if len(ids) <= room:
            return [ids], 0
        if self.long_text == "cut":
            return [ids[:room]], len(ids) - room
        step = room - min(self.overlap, room // 2)
        starts = list(range(0, max(len(ids) - room, 0) + step, step))[: self.max_windows]
        seen = min(len(ids), starts[-1] + room)
        return [ids[start : start + room] for start in starts], len(ids) - seen


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text, found by asking it rather than by its class."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return list(full[:start]), list(full[start + len(bare) :])
    return [], []


def limit(config: Any, tokenizer: Any, wanted: int | None) -> int:
    """Tokens the model sees at once: the recipe's wish within what model and tokenizer allow."""
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
    return wanted or min(most, DEFAULT_LIMIT)


def _position_offset(config: Any) -> int:
    """RoBERTa-like models number positions from padding_idx + 1, so that many table rows are unusable."""
    kinds = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet", "longformer")
    return (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in kinds else 0
