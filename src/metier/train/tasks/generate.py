"""Instruction to answer, summaries and questions about documents: the model writes, and only its answer is learned.

Purpose: the user's turn is `task.instruction`, the text, and the data's own question, each a paragraph; the answer is
the assistant's turn of the base's own chat template. Questions about one text share it in training (see sharing.py).
Long texts: see fitting.py. What is learned: the tokens of the answer and its stop token, nothing else.
Not covered: several right answers; sampling.
"""

from __future__ import annotations

import pyarrow as pa

from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.fitting import Turn
from metier.train.tasks.base import Profile
from metier.train.tasks.writing import Writing


@register("task", "generate")
class Generate(Writing):
    """See `Task` for the members."""

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("rouge_l > nearest", "rouge_l > base")
        return Profile("answer", "text", "rouge_l", ("lead", "nearest"), accept, pipeline="text-generation")

    def turns(self, examples: pa.Table, every: bool) -> list[Turn]:
        n, there = examples.num_rows, examples.column_names
        texts, questions, answers = (
            examples[name].to_pylist() if name in there else [None] * n for name in ("text", "pair", "answer")
        )
        head = self.system()
        # A row may bring the instruction in other words: a check of the model asks so.
        instructions = examples["instruction"].to_pylist() if "instruction" in there else [self.config.instruction] * n
        return [Turn(head, instruction, text or "", question or "", answer)
                for instruction, text, question, answer in zip(instructions, texts, questions, answers, strict=True)
                ]  # fmt: skip
