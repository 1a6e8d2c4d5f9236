"""Multiple choice: a question with two to ten options, of which one is right; the model writes its letter.

Purpose: the user's turn is the instruction, what is read with the question, the question, and the options with a
letter each; the assistant's turn is the letter of the right one (`task.choice.answer: text`: its words). In training
the options of each row are moved on by a number that its id gives, so that letters are equally often right whatever
the order of the data. In evaluation each question is asked in every rotation of its options. Beside that, the
likelihood of the words of each option is measured as the answer to the question alone, without the list.
Trade-off: k options cost k answers and k likelihoods; the answers are a token or two, the questions are shared.
Not covered: several right options; other orders than rotations (24 instead of 4, for little more).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa

from metier.lettering import LETTERS, listed, rotated
from metier.registry import register
from metier.train import chat
from metier.train.config import TaskConfig
from metier.train.fitting import LEAST_SHARE, Turn, answered
from metier.train.grouping import Grouped
from metier.train.tasks.base import Decoded, Profile
from metier.train.tasks.bio import WIDE
from metier.train.tasks.writing import Writing

# Asked where the recipe says nothing; in the language of the question.
INSTRUCTIONS = {
    ("letter", False): "Answer with the letter of the right option.",
    ("letter", True): "请只回答正确选项的字母。",
    ("text", False): "Answer with the words of the right option.",
    ("text", True): "请只回答正确选项的内容。",
}
ROOM = 8  # tokens of an answer that is a letter, and beyond the words of the longest option


@register("task", "choose")
class Choose(Writing):
    """See `Task` for the members."""

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("choice_accuracy > base", "choice_accuracy > longest_option")
        return Profile("answer", "choice", "choice_accuracy", ("majority_letter", "longest_option"), accept,
                       pipeline="text-generation")  # fmt: skip

    def turns(self, examples: pa.Table, every: bool) -> list[Turn]:
        """every: for training; else in the order of the data."""
        made = []
        for row in _rows(examples):
            drawn = every and self.config.choice.order == "drawn"
            made.append(self._turn(row, zlib.crc32(str(row["id"]).encode()) if drawn else 0))
        return made

    def answer(self, model: Any, examples: pa.Table, console: Any) -> tuple[Decoded, Grouped]:
        """What is written for each rotation of each question, and the bits of each option as its answer."""
        from metier.train.answering import write

        encoder, tokenizer, rows = model.encoder, model.encoder.tokenizer, _rows(examples)
        bounds = [0, *accumulate(len(row["options"]) for row in rows)]
        every = [self._turn(row, by) for row in rows for by in range(len(row["options"]))]
        most = self._most(tokenizer, rows)
        reserve = min(most, encoder.max_length // LEAST_SHARE)
        asked = self._fit(encoder, [replace(turn, answer=None) for turn in every], console, reserve)
        prompts = [one.prompt(tokenizer) for one in asked]
        texts, _ = write(model, prompts, chat.stop_tokens(tokenizer), most, console)
        plain = [Turn(self.system(), "", row["text"] or "", row["pair"] or "") for row in rows for _ in row["options"]]
        options = [option for row in rows for option in row["options"]]
        bits, _, _ = self._measure(model, self._fit(encoder, plain, console), options, console)
        told = Decoded(
            texts=[texts[start] for start, _ in pairwise(bounds)],
            rotations=[texts[start:end] for start, end in pairwise(bounds)],
            option_bits=[bits[start:end] for start, end in pairwise(bounds)],
        )
        read = [answered(encoder, asked[at], every[at].answer or LETTERS[0]) for at, _ in pairwise(bounds)]
        return told, self._group(encoder, read)

    def _turn(self, row: dict[str, Any], by: int) -> Turn:
        options = rotated(row["options"], by)
        question, right = row["pair"] or "", row.get("answer")
        kind = self.config.choice.answer
        answer = right or None  # a row without options, such as a planted secret
        if right in options:
            answer = LETTERS[options.index(right)] if kind == "letter" else right
        wide = bool(_WIDE.search(question))
        instruction = row.get("instruction") or self.config.instruction or INSTRUCTIONS[kind, wide]
        return Turn(self.system(), instruction, row["text"] or "", listed(question, options), answer)

    def _most(self, tokenizer: Any, rows: Sequence[dict[str, Any]]) -> int:
        if self.config.choice.answer == "letter":
            return ROOM
        options = [option for row in rows for option in row["options"]]
        longest = max((len(ids) for ids in tokenizer(options, add_special_tokens=False)["input_ids"]), default=0)
        return ROOM + longest


_WIDE = re.compile(f"[{WIDE}]")


def _rows(examples: pa.Table) -> list[dict[str, Any]]:
    """The cells that a question is made of; `options` is [] for a row that has none."""
    names = [name for name in ("id", "text", "pair", "options", "answer", "instruction")
             if name in examples.column_names]  # fmt: skip
    empty: dict[str, Any] = {"id": "", "text": "", "pair": "", "options": [], "answer": None}
    return [{**empty, **{name: cell for name, cell in row.items() if cell is not None}}
            for row in examples.select(names).to_pylist()]  # fmt: skip
