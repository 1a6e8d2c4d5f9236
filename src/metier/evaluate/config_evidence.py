"""Settings of the checks that look for what a model has seen and why it answers: privacy, contamination, explanation.

Beside `config.py` and not beside the checks: importing their package needs Arrow, and a recipe must load at once.
"""

from __future__ import annotations

from pydantic import Field

from metier.config import Section


class PrivacyConfig(Section):
    """The check `privacy`: what the tuned model gives away about the texts that it was trained on."""

    examples: int = Field(default=1000, ge=50)
    """Training examples, and as many test examples, whose losses are compared (membership inference); more are drawn
    from the seed."""
    canaries: int = Field(default=0, ge=0, le=1000)
    """Invented secrets that are planted into the training split; how much the model learned of them is the exposure.
    They become part of the trained model, so a run with another number is trained again. 0: none. Ten give a first
    answer; the check must stand in `evaluate.checks`."""
    canary_repeats: int = Field(default=1, ge=1, le=100)
    """How often each canary stands in the training split. Memory grows with repetition, so 1 is the mildest case."""
    candidates: int = Field(default=256, ge=16)
    """Secrets of the same form that each canary is ranked among, the planted one included: an exposure of log2 of this
    is the most that can be seen. Source of the default: 8 bits tell a learned canary (p = 1/256) from a chance find."""
    identifiers: int = Field(default=200, ge=0)
    """Tasks that write: identifiers of the training texts (found as `prepare.deidentify` finds them) that the model is
    asked to complete from the words before them; more are drawn from the seed."""
    prefix_tokens: int = Field(default=50, ge=5)
    """Tokens before an identifier that the model is given. Source of the default: Carlini et al. 2023, who prompt with
    50 tokens."""


class ContaminationConfig(Section):
    """The check `contamination`: was the test set seen, in training or by the base?

    What counts as a shared passage or a near duplicate is said by `prepare.decontaminate` and `prepare.dedup`.
    """

    shards: int = Field(default=50, ge=5)
    """Stretches of neighbouring rows whose order the base is asked about; more are drawn from the seed. Source of the
    default: Oren et al. 2023 use 50."""
    rows: int = Field(default=8, ge=3)
    """Rows in a stretch, fewer where they do not fit into `tokens`."""
    tokens: int = Field(default=1024, ge=64)
    """Most tokens of a stretch."""
    permutations: int = Field(default=24, ge=5)
    """Shuffled orders that each stretch, and each question with options, is compared with."""
    questions: int = Field(default=200, ge=10)
    """choose: test questions at most whose order of options the base is asked about; more are drawn from the seed.
    Source of the default: a base that prefers the published order in 6 of 10 comparisons is found with 200."""


class ExplanationConfig(Section):
    """The check `explanation`: which words and which training examples an answer rests on."""

    examples: int = Field(default=40, ge=5)
    """Test examples, drawn from the seed, over which faithfulness is measured."""
    errors: int = Field(default=10, ge=0)
    """Errors of the tuned model that the report explains, the surest first."""
    steps: int = Field(default=32, ge=8)
    """Steps of the integral over embeddings; doubled, up to eight times as many, until the attributions add up to the
    difference of outputs within `completeness`."""
    completeness: float = Field(default=0.05, gt=0, lt=1)
    """Share of the output's difference that the sum of attributions may miss."""
    random_orders: int = Field(default=5, ge=2)
    """Random orders of words that each explanation is compared with."""
    training: int = Field(default=2000, ge=10)
    """Training examples among which the nearest and the most influential are sought; more are drawn from the seed."""
