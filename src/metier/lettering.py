"""How options are shown and named: a letter and its words on a line each."""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "ABCDEFGHIJ"


def listed(question: str, options: Sequence[str]) -> str:
    """The question, and below it the options with their letters."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, "", *lines] if question else lines)


def rotated(options: Sequence[str], by: int) -> list[str]:
    """The options moved on: the one at place `by` comes first, and those before it come last."""
    by %= max(1, len(options))
    return [*options[by:], *options[:by]]
