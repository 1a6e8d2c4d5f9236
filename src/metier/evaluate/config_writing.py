"""What `evaluate.judge`, `evaluate.relevance`, `evaluate.fluency` and `evaluate.numbers` may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import Section, execution


class JudgeModel(Section):
    """One judge: an endpoint that speaks the chat completions of OpenAI."""

    url: str
    """Where it listens, up to the version: `http://localhost:8000/v1`."""
    model: str
    """Its name there."""
    key_variable: str = ""
    """Environment variable that holds the key; empty: none is sent."""
    family: str = ""
    """The family it belongs to (qwen, llama, gpt, ...); empty: the beginning of its name. A judge of the candidate's
    own family is refused, because models prefer what they might have written."""


class JudgeConfig(Section):
    """Models that compare two answers; each pair is shown in both orders."""

    judges: tuple[JudgeModel, ...] = ()
    """Who judges; several decide by majority."""
    against: str = "base"
    """Whose answers the tuned model's are compared with: a model of the run, or `gold`."""
    qualities: tuple[Literal["accuracy", "relevance", "fluency"], ...] = ("accuracy", "relevance", "fluency")
    """What they look at, one question each."""
    items: int = Field(default=200, ge=1)
    """Test items shown to the judges, drawn from the recipe's seed; all where there are fewer."""
    characters: int = Field(default=6000, ge=200)
    """Characters of a question, and of an answer, at most; what is cut is counted."""
    attempts: int = Field(default=3, ge=1)
    """Times that a question is asked where the judge does not answer in time or without sense."""
    seconds: float = execution(120.0, gt=0)
    """Time for one reply."""
    at_once: int = execution(4, ge=1)
    """Questions on their way to one judge."""


class RelevanceConfig(Section):
    """Does an answer belong to its question?"""

    items: int = Field(default=500, ge=2)
    """Test items, drawn from the recipe's seed; all where there are fewer."""
    embedder: str = ""
    """A base model whose embeddings are compared (such as minilm, for English); empty: left out."""


class FluencyConfig(Section):
    """Is an answer well-formed?"""

    reference: str = ""
    """The base model whose surprise is measured, never the tuned one; empty: the untouched base of the recipe."""
    band: float = Field(default=0.9, gt=0, lt=1)
    """Middle share of the gold answers that counts as usual."""


class NumbersConfig(Section):
    """generate, chat: when a number in an answer is that of the gold answer."""

    relative: float = Field(default=0.0001, ge=0, lt=1)
    """Share of the gold number by which it may differ. The default forgives the rounding of the fifth digit and still
    tells neighbouring years apart (2018 and 2019 differ by five times as much)."""
    absolute: float = Field(default=0.0, ge=0)
    """How far it may differ at least, in the size in which the gold answer writes it: 0.05 is a twentieth of a
    percentage point for 3.5%, and of a million for 3.5 million."""
    compare: Literal["all", "last"] = "all"
    """`all`: each number of the one against one of the other, whatever their order. `last`: the last number of both,
    for answers that show their working and end with the result."""
