"""Chat: conversations of any number of turns, with system messages and tools; every answer of the assistant is learned.

Purpose: the conversation is written by the base's own chat template (train/chat.py), so training and use cannot differ.
What is learned: each assistant turn and its stop token, except turns that say `"loss": false`; in evaluation the last.
Not covered: running tools; a tool's answer is read, never learned.
"""

from __future__ import annotations

import json

import pyarrow as pa

from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.fitting import Turn, messages_of
from metier.train.tasks.base import Profile
from metier.train.tasks.writing import Writing


@register("task", "chat")
class Chat(Writing):
    """See `Task` for the members."""

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        accept = ("bits_per_byte < base", "chrf > nearest")
        return Profile("answer", "text", "bits_per_byte", ("nearest",), accept, pipeline="text-generation",
                       conversation=True)  # fmt: skip

    def turns(self, examples: pa.Table, every: bool) -> list[Turn]:
        n, there = examples.num_rows, examples.column_names
        conversations, tools, answers = (
            examples[name].to_pylist() if name in there else [None] * n for name in ("messages", "tools", "answer")
        )
        if "messages" not in there:  # a bare text is a user's first message
            conversations = [[{"role": "user", "content": text}] for text in examples["text"].to_pylist()]
        made = []
        for row, (cell, answer) in enumerate(zip(conversations, answers, strict=True)):
            head = messages_of(cell, f"conversation {row + 1}")
            if not any(one["role"] == "system" for one in head):
                head = (*self.system(), *head)
            told = json.loads(str(tools[row])) if tools[row] else None
            made.append(Turn(head, answer=answer, tools=told, every=every))
        return made
