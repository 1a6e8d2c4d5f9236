"""What the recipe's `prepare` section may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metier.config import Section
from metier.prepare.config_texts import (
    BoilerplateConfig,
    ChunkConfig,
    ComprehendConfig,
    CorrectConfig,
    LanguageConfig,
    QualityConfig,
    SelectConfig,
    SynthesizeConfig,
)
from metier.prepare.deidentify.config import DeidentifyConfig
from metier.prepare.files import names_file


class NormalizeConfig(Section):
    """Unicode repair that changes no meaning."""

    repair: bool = True
    """Undo mojibake, control characters and broken line ends (ftfy; Chinese punctuation and width stay as they are)."""
    strip_markup: bool = False
    """Remove HTML tags that are left in plain text."""


class SemanticConfig(Section):
    """Texts that say the same in other words."""

    enabled: bool = False
    """Look for them among the texts that are no other duplicates."""
    threshold: float = Field(default=0.9, gt=0, le=1)
    """Cosine similarity of the vectors from which two texts are duplicates; depends on `vectors`, look at the list."""
    vectors: Literal["characters", "base"] = "characters"
    """`characters`: TF-IDF of character n-grams reduced to 256 dimensions (extra `evaluate`; no model): other order and
    other inflection. `base`: mean states of `train.base_model`: paraphrases, as far as that model knows them."""

    @property
    def by_base(self) -> bool:
        """Whether the base model is asked for vectors."""
        return self.enabled and self.vectors == "base"


class DedupConfig(Section):
    """Exact and near duplicates."""

    exact: bool = True
    """Fold texts that are equal after case and white space are folded."""
    near: bool = True
    """Find near duplicates by MinHash over character shingles (5 characters, 2 where the script is Chinese)."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity from which two texts are near duplicates. Source of the default: text-dedup's benchmark
    (0.7 on news); 0.8 because short messages share more by chance."""
    permutations: int = Field(default=128, ge=16)
    """MinHash permutations; standard error of the estimate is at most 0.5/sqrt(permutations)."""
    remove_near: bool = False
    """False: near duplicates stay, but never straddle a split. True: of texts near each other the first is kept, unless
    they differ in a number, a date, a party, a negation or their label."""
    semantic: SemanticConfig = SemanticConfig()
    conflicts: Literal["drop", "keep", "majority"] = "drop"
    """Equal texts with different labels (or values): drop all of them, keep all, or keep the most frequent label."""


class SplitConfig(Section):
    """Who is in train, validation and test."""

    by: Literal["auto", "group", "stratified", "time", "column"] = "auto"
    """`group`: no patient, client or matter on both sides; `stratified`: by label; `time`: the newest are the test set
    (groups stay whole); `column`: the role `split` of the data; `auto`: `column` if the data has one, else `group` if
    it has groups, else `stratified`. Duplicate clusters never straddle, whichever of our own splits is chosen."""
    groups: tuple[str, ...] = ()
    """Further columns that tie rows together, besides the role `group`: [household_id, doctor_id]. Rows that share a
    value of any of them stay on one side. Columns keep the name that they have in the data."""
    without_time: Literal["train", "reject"] = "train"
    """by: time: what becomes of a row whose time is missing or cannot be read."""
    test: float = Field(default=0.2, ge=0, lt=1)
    """Share of the examples; 0 is possible only where the data brings its own test split."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of the examples; when the data brings its own test split, share of its training examples. 0 switches
    validation off."""

    @model_validator(mode="after")
    def _something_to_train_on(self) -> SplitConfig:
        if self.test + self.validation >= 1:
            raise ValueError("test + validation must stay below 1, or nothing is left to train on")
        return self


class DecontaminateConfig(Section):
    """Passages that training and evaluation texts share."""

    action: Literal["off", "report", "reject"] = "report"
    """`report`: count and list them (overlaps.parquet, leaks.json); `reject`: such training rows leave as well."""
    against: tuple[str, ...] = names_file(())
    """Files with further evaluation texts, such as a public benchmark (.txt, .md: one text; .jsonl, .csv or .parquet:
    one a row, column `text`, or every column of strings where there is none)."""
    words: int = Field(default=13, ge=5)
    """Words in a row that make a passage, where the script separates words. Source: GPT-3 (Brown et al. 2020, C)."""
    characters: int = Field(default=20, ge=8)
    """Characters in a row that make a passage, where it does not (Chinese)."""
    share: float = Field(default=0.0, ge=0, le=1)
    """Share of a training text that such passages must cover for it to count; 0: one passage is enough."""
    common: int = Field(default=10, ge=1)
    """A passage that stands in more training texts than this is a form and not counted. Source: as `words`."""


class MixConfig(Section):
    """How much of each source the training set holds; validation and test stay as they are."""

    weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    """Source (a glob such as `letters/*`) -> how often each of its training rows is used: 0.5 keeps every second one,
    3 takes each three times. The first pattern that fits counts."""
    caps: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Source (a glob) -> most training rows of it, after the weights."""
    general: tuple[str, ...] = ()
    """Sources (globs) of general text that is replayed against forgetting: never in validation, and in test only as
    far as `general_test` says."""
    general_test: float = Field(default=0.0, ge=0, lt=1)
    """Share of the general text that is held out in the test split, to measure what is forgotten
    (general_bits_per_byte); for the task pretrain."""
    general_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the training rows that shall be general; empty: all that there are."""


class PrepareConfig(Section):
    """From documents to examples."""

    normalize: NormalizeConfig = NormalizeConfig()
    language: LanguageConfig = LanguageConfig()
    boilerplate: BoilerplateConfig = BoilerplateConfig()
    quality: QualityConfig = QualityConfig()
    correct: CorrectConfig = CorrectConfig()
    deidentify: DeidentifyConfig = DeidentifyConfig()
    select: SelectConfig = SelectConfig()
    chunk: ChunkConfig = ChunkConfig()
    comprehend: ComprehendConfig = ComprehendConfig()
    synthesize: SynthesizeConfig = SynthesizeConfig()
    dedup: DedupConfig = DedupConfig()
    split: SplitConfig = SplitConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    mix: MixConfig = MixConfig()
    operations: tuple[str, ...] = ()
    """Further operations of other packages (names behind the door `operation`), run in this order after `normalize`."""
    min_characters: int = Field(default=1, ge=1)
    """Shorter texts are rejected as empty."""
    min_examples_per_label: int = Field(default=2, ge=1)
    """Labels with fewer examples are rejected: they cannot be both learned and tested."""
