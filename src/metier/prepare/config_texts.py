"""What the recipe's `prepare` section may say about the operations on texts; config.py puts the sections together.

Purpose: language, boilerplate, quality, correction, selection, cutting and made examples, in the order in which they
run. Each is off unless the recipe asks for it, so that a recipe without them gives what it always gave.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from metier.config import Section, execution
from metier.errors import nearest
from metier.prepare.files import names_file

Share = Annotated[float, Field(ge=0, le=1)]
Language = Literal["zh", "en", "mixed", "other"]

RULES = (
    "letters", "garbage", "symbols", "links", "markup", "placeholder", "truncated", "function_words", "odd_words",
    "rare_han", "punctuation", "bullets", "ellipses", "top_line", "repeated_lines", "top_ngram", "repeated_ngrams",
)  # fmt: skip


class LanguageConfig(Section):
    """Which language a text is in, and which languages stay."""

    detector: Literal["script", "lingua"] = "script"
    """`script`: the share of Han and Latin script; no model, and no error on short Chinese and English texts. `lingua`
    (extra `lingua`) also tells English from other languages in Latin script, such as German without umlauts; it
    costs about 1 GB of memory a process."""
    keep: tuple[Language, ...] = ()
    """Languages that stay, such as [zh, en, mixed]; texts in others are rejected. Empty: all stay. `other` is any
    language but Chinese and English, and texts without letters."""


class BoilerplateConfig(Section):
    """Lines that repeat over the documents of one origin: letterheads, disclaimers, signatures, navigation."""

    enabled: bool = False
    """Take such lines out of the texts."""
    share: Share = 0.3
    """Share of an origin's documents (same folder, archive, table or web host) in which a line must stand."""
    documents: int = Field(default=5, ge=2)
    """Number of documents in which it must stand at least."""
    where: Literal["edges", "anywhere"] = "edges"
    """`edges`: only lines that are joined to the start or end of a text by other such lines, and lines that repeat
    within one text (running headers). `anywhere` also takes lines from the middle: for web pages, not for contracts."""
    most: Share = 0.8
    """A text that would lose a larger share of its characters is left alone: it is a template, not a letterhead. (A
    two-line mail under a long disclaimer loses three quarters.)"""
    page_numbers: bool = True
    """Also remove lines that are page numbers (Page 3 of 10, 第3页 共10页, - 3 -)."""


class QualityConfig(Section):
    """Texts that are broken, repeat themselves or say nothing leave, by rules with limits for each language."""

    enabled: bool = False
    """Judge every text; the built-in limits are in `quality_rules.py` and are made for short notes too."""
    rules: dict[str, float | Literal[False] | dict[Literal["zh", "en"], float]] = Field(default_factory=dict)
    """Other limits by rule: a number for both languages, {zh: 0.2, en: 0.3}, or false to switch a rule off."""

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: dict[str, object]) -> dict[str, object]:
        for name in rules:
            if name not in RULES:
                raise ValueError(f"there is no rule called '{name}'; {nearest(name, RULES)}")
        return rules


class CorrectConfig(Section):
    """OCR and typing errors against a lexicon that is mined from the corpus itself."""

    enabled: bool = False
    """Correct rare forms that are one confusable edit away from a far more frequent form that fits the context."""
    rarest: int = Field(default=2, ge=1)
    """A form that occurs more often in the corpus is no error. Source of this and the next two: precision on the
    benchmark `benchmarks/texts.py`."""
    frequent: int = Field(default=20, ge=2)
    """The form it is corrected to must occur at least this often."""
    ratio: float = Field(default=20.0, gt=1)
    """And at least this many times as often as the rare form; for Chinese both are compared within their context."""
    lexicon: str = names_file("")
    """A text file with one word or phrase a line that is right whatever the corpus says: never changed."""


class SelectConfig(Section):
    """Keep the documents that are most like a sample of the field (importance weights; Xie et al. 2023)."""

    target: tuple[str, ...] = names_file(())
    """Files with texts of the field (.txt and .md, or .jsonl and .parquet with a column `text`). Empty: all documents
    stay."""
    keep: float = Field(default=0.5, gt=0, le=1)
    """Share of the documents of each language that stays."""
    method: Literal["top", "gumbel"] = "top"
    """`top`: the highest scores. `gumbel`: drawn without replacement by importance (Gumbel noise under the recipe's
    seed), which keeps more variety."""
    temperature: float = Field(default=0.1, gt=0)
    """gumbel: nats per n-gram that weigh as much as one unit of noise; higher draws more evenly."""
    sample: int = Field(default=20_000, ge=100)
    """Documents from which the limit is taken; up to this many the share is exact, above it has an error of about
    sqrt(keep * (1 - keep) / sample)."""


class ChunkConfig(Section):
    """Cut long texts between sentences."""

    enabled: bool = False
    """Replace each text that is longer than `size` by its chunks."""
    size: int = Field(default=2000, ge=20)
    """Length of a chunk at most, in `unit`; only a table or a sentence without any comma may be longer."""
    unit: Literal["characters", "tokens"] = "characters"
    """`tokens` counts with `tokenizer`."""
    tokenizer: str = names_file("")
    """A tokenizer.json, such as the one in the folder of the base model."""
    overlap: int = Field(default=0, ge=0)
    """Sentences of the chunk before that are repeated at the start of the next."""

    @model_validator(mode="after")
    def _counts_with_something(self) -> ChunkConfig:
        if self.enabled and self.unit == "tokens" and not self.tokenizer:
            raise ValueError("unit: tokens needs `tokenizer`, the path of a tokenizer.json")
        return self


Pattern = Literal["title", "title_to_text", "cloze", "definition", "conclusion", "continue", "words_to_text", "who",
                  "when", "how_much"]  # fmt: skip


class ComprehendConfig(Section):
    """Questions and answers read out of raw text by patterns, without any model (after AdaptLLM, Cheng et al. 2024)."""

    enabled: bool = False
    """Add examples (`question`, `answer` and `messages` in the metadata) beside every document."""
    patterns: tuple[Pattern, ...] = ()
    """Which patterns; empty: all."""
    per_pattern: int = Field(default=2, ge=1)
    """Examples of one pattern from one document at most."""
    form: Literal["examples", "text"] = "examples"
    """`examples`: a row each. `text`: written below the document's text, for continued pretraining."""


class SynthesizeConfig(Section):
    """Questions and answers written by a model behind an OpenAI-compatible address."""

    endpoint: str = ""
    """Address up to and without /chat/completions, such as http://127.0.0.1:8000/v1; empty: nothing is asked."""
    model: str = ""
    """Name of the model there."""
    prompt: str = names_file("")
    """A template of your own with {text} and {number}; empty: the built-in one in the language of the document."""
    per_document: int = Field(default=3, ge=1)
    """Question-answer pairs asked for, a document."""
    max_requests: int = Field(default=1000, ge=1)
    """Documents that are asked about at most; the rest is counted as left over."""
    max_cost: float = Field(default=0.0, ge=0)
    """Limit in the currency of `price`, reckoned before anything is sent; 0: no limit but `max_requests`."""
    price: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.0, 0.0)
    """Price of one million tokens read and written."""
    max_tokens: int = Field(default=1024, ge=16)
    """Tokens of one answer at most."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of the sampling at the endpoint."""
    support: Share = 0.7
    """Share of an answer's n-grams that must stand in the passage it cites, or it is refused as not grounded."""
    key_variable: str = execution("METIER_API_KEY")
    """Environment variable that holds the key; the key itself stands in no file."""
    cache: str = execution(".metier/answers")
    """Folder in which every answer is kept under the hash of its question."""
    timeout: float = execution(120.0, gt=0)
    """Seconds for one request."""
    retries: int = execution(4, ge=0)
    """Further tries after a busy server (429, 5xx) or a broken connection, with growing pauses."""

    @model_validator(mode="after")
    def _whole(self) -> SynthesizeConfig:
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint must start with http:// or https://")
        if self.endpoint and not self.model:
            raise ValueError("endpoint needs `model`, the name of the model there")
        if self.max_cost and not any(self.price):
            raise ValueError("max_cost needs `price`, or nothing could be reckoned")
        return self
