"""What the recipe's `tune` section may say. No Optuna here: the recipe must load in milliseconds."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from metier.config import Section

PREFIX = "train."
# Settings whose trials would not be comparable, or that change no result.
FIXED = ("base_model", "revision", "device", "threads", "checkpoint_seconds")


class Range(Section):
    """Numbers from low to high, both included; whole numbers if both are written as such."""

    low: float | int
    """Smallest value."""
    high: float | int
    """Largest value."""
    log: bool = False
    """Draw on a logarithmic scale, as fits rates."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range starts above 0")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class TuneConfig(Section):
    """`metier tune`: which settings are searched, and for how long. A run does not read this."""

    trials: int = Field(default=20, ge=1)
    """Trainings at most, over all starts of the same search."""
    minutes: float = Field(default=0.0, ge=0)
    """No new trial starts after so many minutes; 0: no limit."""
    seeds: int = Field(default=1, ge=1)
    """Trainings of one trial, with the seeds seed, seed + 1, ...; its figure is their mean."""
    prune: bool = True
    """Stop a trial whose validation figure after an epoch is below the median of the trials before it."""
    startup: int = Field(default=5, ge=1)
    """Trials that are drawn at random before the search learns from them, and before any is pruned."""
    space: dict[str, Range | tuple[Any, ...]] = Field(default_factory=dict)
    """Setting -> range or list of values, as in `train.learning_rate: {low: 1e-5, high: 1e-3, log: true}` and
    `train.lora.r: [8, 16, 32]`. Empty: the method's own space (train/search.py)."""

    @field_validator("space")
    @classmethod
    def _only_training(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, choices in value.items():
            name = key.removeprefix(PREFIX)
            if not key.startswith(PREFIX) or name.split(".")[0] in FIXED:
                raise ValueError(f"'{key}' cannot be searched; settings of training can, such as train.learning_rate")
            if isinstance(choices, tuple):
                if len(choices) < 2:
                    raise ValueError(f"'{key}' needs at least two values")
                if not all(item is None or isinstance(item, (str, int, float, bool)) for item in choices):
                    raise ValueError(f"'{key}': values are words, numbers or truth values")
        return value


def default_space(method: str, learning_rate: float, epochs: float) -> dict[str, Range | tuple[Any, ...]]:
    """The settings that matter most, around the method's own values.

    Ten times less to five times more than the method's own learning rate covers what BERT's and LoRA's papers searched.
    """
    space: dict[str, Range | tuple[Any, ...]] = {
        "train.learning_rate": Range(low=learning_rate / 10, high=learning_rate * 5, log=True),
        "train.epochs": tuple(sorted({max(1.0, epochs / 2), float(epochs), epochs * 1.5})),
        "train.batch_size": (8, 16, 32, 64),
    }
    if method in ("lora", "qlora"):
        space["train.lora.r"] = (4, 8, 16, 32, 64)
    elif method == "full":
        space["train.weight_decay"] = (0.0, 0.01, 0.1)
    return space
