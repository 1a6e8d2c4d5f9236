"""What is lost before training begins, and when that is reason enough not to begin.

Purpose: everything that is cut, masked or not learned is counted while examples are encoded; here the counts become
sentences, and three of them stop training: more tokens cut than the recipe allows, rows of which nothing is learned,
and answers none of which teaches the model to end. `metier inspect RECIPE` says the same without training.
Not covered: a chat template that puts no stop token behind an answer at all; train/chat.py refuses it.
"""

from __future__ import annotations

from typing import Any

from metier.errors import UserError
from metier.train.config import TrainConfig

# What a task counts while it encodes, for people.
NOTES = {
    "unread_units": "words of the training texts are not read (cut, or dropped by the tokenizer)",
    "overlapping_spans": "spans overlap a longer one and are not learned: a word has one tag",
    "cut_questions": "questions are longer than half a window and were cut",
    "answers_outside": "questions have an answer that lies whole in no window; it cannot be learned",
    "long_answers": "answers are longer than task.max_answer_tokens and can never be given whole",
    "inexact_answers": "answers begin or end within a token and are learned as far as the token reaches",
    "far_apart": "texts are too long for both marked stretches; where one is left out, all that is read stands for it",
    "answers_elsewhere": "answers stand in another part of a long text than the part that is read for them",
    "silent": "examples hold nothing that is learned: all their labels are masked",
    "unstopped": "examples lose the end of their last answer, so that no stop token is learned from it",
    "same_family": "examples share query, passage or a near duplicate with others, which are no negatives of theirs",
    "same_group": "examples share their group with others, which are no negatives of theirs (task.embed.same_group)",
    "inexact_spans": "spans begin or end within a word and are learned as far as the word reaches",
}


def losses(encoded: Any) -> list[str]:
    """A sentence for each kind of thing that is lost. encoded: of the training split."""
    found = []
    if encoded.cut:
        found.append(f"{encoded.cut:,} texts were cut ({encoded.cut_tokens:,} tokens left out); see train.long_text")
    return found + [f"{encoded.notes[name]:,} {text}" for name, text in NOTES.items() if encoded.notes.get(name)]


def problems(encoded: Any, config: TrainConfig, encoder: Any) -> list[UserError]:
    """Every reason not to start, the gravest first. encoded: of the training split."""
    found = []
    rows = encoded.loss_report()["texts"]
    silent, unstopped = encoded.notes.get("silent", 0), encoded.notes.get("unstopped", 0)
    if silent > config.max_silent * rows:
        found.append(UserError(
            f"of {silent:,} of {rows:,} training examples nothing would be learned: all their labels are masked, "
            f"train.max_silent allows {config.max_silent:.0%}",
            f"answers beyond the {encoder.max_length:,} tokens that are read, or marked \"loss\": false",
            "raise train.max_length, shorten or remove these examples, or raise train.max_silent",
        ))  # fmt: skip
    if unstopped and unstopped == rows - silent:
        found.append(UserError(
            "no stop token would ever be learned, so the tuned model would never end an answer: every answer is cut "
            "before its end", f"train.max_length: {encoder.max_length:,} tokens",
            "raise train.max_length, or shorten the answers",
        ))  # fmt: skip
    share = encoded.cut_share
    if share > config.max_cut:
        found.append(UserError(
            f"{share:.0%} of all tokens of the training texts would be cut, train.max_cut allows {config.max_cut:.0%}",
            f"{encoded.cut:,} texts lose {encoded.cut_tokens:,} tokens",
            "raise train.max_length or train.max_windows, cut the texts in prepare (chunk), or raise train.max_cut",
        ))  # fmt: skip
    return found


def stop_at(encoded: Any, config: TrainConfig, encoder: Any) -> None:
    """UserError with the gravest reason not to start, if there is one."""
    for problem in problems(encoded, config, encoder):
        raise problem
