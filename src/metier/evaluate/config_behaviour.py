"""What the recipe may say of the checks of behaviour: robustness, bias and forgetting. Nothing heavy is imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import Section

Change = Literal[
    "typing", "ocr", "upper_case", "lower_case", "full_width", "half_width", "traditional", "simplified",
    "instruction", "options", "long_context",
]  # fmt: skip
CHANGES: tuple[Change, ...] = (
    "typing", "ocr", "upper_case", "lower_case", "full_width", "half_width", "traditional", "simplified",
    "instruction", "options", "long_context",
)  # fmt: skip


class RobustnessConfig(Section):
    """The check `robustness`: the test texts changed as life changes them, and asked again."""

    changes: tuple[Change, ...] = CHANGES
    """Which changes. Rows that one cannot alter are counted and left out of it."""
    items: int = Field(default=300, ge=1)
    """Test rows for each change at most, drawn from the recipe's seed. Source of the default: with one answer in ten
    that changes, 312 rows show a loss of 5 in 100 (see evaluate/compare.py)."""
    errors: float = Field(default=0.1, gt=0, le=1)
    """typing, ocr: share of words (Chinese: characters) with an error, at least one in a text."""
    context: int = Field(default=2000, ge=100)
    """long_context: characters of unrelated text around the relevant one."""


class BiasConfig(Section):
    """The check `bias`: who is treated worse, and does the answer hang on who a text is about."""

    columns: tuple[str, ...] = ()
    """Columns of the data (or `language`, `source`) whose values are groups of people or cases; each is compared with
    all others. Needs the extra `fairness`."""
    least: int = Field(default=30, ge=1)
    """Test rows of a group below which no figure of it is shown. Source of the default: the bound of large-sample
    intervals that the whole evaluation keeps (evaluate/intervals.py)."""
    swaps: tuple[Literal["gender", "name", "age", "region", "ethnicity", "nationality"], ...] = (
        "gender", "name", "age", "region", "ethnicity", "nationality",
    )  # fmt: skip
    """What is exchanged in texts that name it: every text is asked once for each other group."""
    items: int = Field(default=200, ge=1)
    """Test rows for each swap at most, drawn from the recipe's seed."""
    insert_names: bool = False
    """Put a sentence with a name before texts that name nobody, so that names can be compared in every text."""


class ForgettingConfig(Section):
    """The check `forgetting`: what the base could do outside its field, and can the tuned model still."""

    texts: tuple[str, ...] = ()
    """Files of general text of your own beside those that come with the package: plain text (a paragraph each, with an
    empty line between), or a table with a column `text`. Relative to the recipe."""
    most: int = Field(default=500, ge=1)
    """Paragraphs of these files at most, drawn from the recipe's seed."""
    margin: float = Field(default=0.05, gt=0)
    """Share by which a figure may be lower (0.05: 5 in 100 questions) and the model still counts as not worse."""
    margin_bits: float = Field(default=0.05, gt=0)
    """Bits per byte by which general text may cost more. A small model needs about one bit a byte, so 5 % of that."""
    max_new_tokens: int = Field(default=32, ge=1)
    """Tokens of an answer to a general instruction; the expected answers are a word or two."""
