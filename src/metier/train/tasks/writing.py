"""What generate and chat have in common: conversations in, answers out.

Purpose: in training the answers of a conversation are learned; in evaluation the last one is measured (bits per byte of
the right answer) and written anew. Both see the same prompt: the base's chat template, cut by the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.errors import UserError
from metier.train import chat
from metier.train.fitting import LEAST_SHARE, Fitted, Turn, answered, bytes_of, fit
from metier.train.grouping import Grouped, grouped
from metier.train.tasks.base import Decoded
from metier.train.tasks.language import Language


class Writing(Language):
    """A task says with `turns` what its rows ask."""

    def turns(self, examples: pa.Table, every: bool) -> list[Turn]:
        """What each row asks. every: in a conversation all answers are learned, not the last alone."""
        raise NotImplementedError

    def system(self) -> tuple[chat.Message, ...]:
        """The recipe's system message, if there is one."""
        return ({"role": "system", "content": self.config.system},) if self.config.system else ()

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Grouped:
        return self._group(encoder, self._fit(encoder, self.turns(examples, every=True), console))

    def answer(self, model: Any, examples: pa.Table, console: Any) -> tuple[Decoded, Grouped]:
        """Answers to all rows; where the right ones are known, also the bits that the model needs for them."""
        from metier.train.answering import write

        encoder, tokenizer = model.encoder, model.encoder.tokenizer
        known = self.turns(examples, every=False)
        reserve = min(self.config.max_new_tokens, encoder.max_length // LEAST_SHARE)
        asked = self._fit(encoder, [replace(turn, answer=None) for turn in known], console, reserve)
        prompts = [one.prompt(tokenizer) for one in asked]
        stops = chat.stop_tokens(tokenizer)
        texts, finished = write(model, prompts, stops, self.config.max_new_tokens, console)
        told = Decoded(texts=texts, finished=finished)
        golden = [turn.answer for turn in known if turn.answer is not None]
        if len(golden) < len(known) or not golden:
            return told, self._group(encoder, asked)
        bits, sizes, encoded = self._measure(model, asked, golden, console)
        return replace(told, bits=bits, bytes=sizes), encoded

    def measure(self, model: Any, examples: pa.Table, answers: Sequence[str], console: Any) -> tuple[Any, Any]:
        """(bits, bytes), each (n,) of float64: what a model needs for given answers to the rows; nothing is written."""
        asked = self._fit(model.encoder, [replace(turn, answer=None) for turn in self.turns(examples, every=False)],
                          console)  # fmt: skip
        bits, sizes, _ = self._measure(model, asked, answers, console)
        return np.array(bits), np.array(sizes, dtype=np.float64)

    def _measure(
        self, model: Any, asked: list[Fitted], answers: Sequence[str], console: Any
    ) -> tuple[list[float], list[int], Grouped]:
        from metier.train.answering import nats

        measured = [answered(model.encoder, one, answer) for one, answer in zip(asked, answers, strict=True)]
        encoded = self._group(model.encoder, measured)
        bits = nats(model, encoded, console) / np.log(2)
        return bits.tolist(), [bytes_of(model.encoder.tokenizer, one) for one in measured], encoded

    def _fit(self, encoder: Any, turns: list[Turn], console: Any, reserve: int = 0) -> list[Fitted]:
        with (console or Console(quiet=True)).progress("tokenising", len(turns), "texts") as meter:
            return fit(encoder, turns, meter, reserve)

    def _group(self, encoder: Any, fitted: list[Fitted]) -> Grouped:
        examples = [one.example for one in fitted if one.example is not None]
        silent = sum(not one.labelled for one in examples)
        if examples and silent == len(examples):
            raise UserError(
                "no token of any answer would be learned: all answers lie beyond what the model reads at once",
                "train.max_length", f"raise it above {encoder.max_length}, or shorten the texts",
            )  # fmt: skip
        counts = self._counts(fitted)
        if silent:
            counts["notes"]["silent"] = silent
        made = grouped(examples, encoder.batch_tokens, **counts)
        if made.groups.saving > 1.01:
            made.notes["shared_percent"] = round(100 - 100 / made.groups.saving)
        return made

    @staticmethod
    def _counts(fitted: list[Fitted]) -> dict[str, Any]:
        elsewhere = sum(one.elsewhere for one in fitted)
        return {
            "windowed": sum(one.windowed for one in fitted), "cut": sum(one.lost > 0 for one in fitted),
            "cut_tokens": sum(one.lost for one in fitted),
            "notes": {"answers_elsewhere": elsewhere} if elsewhere else {},
        }  # fmt: skip
