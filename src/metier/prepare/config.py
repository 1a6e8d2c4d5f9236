"""What the recipe's `prepare` section may say."""

from __future__ import annotations

from typing import Literal

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


class NormalizeConfig(Section):
    """Unicode repair that changes no meaning."""

    repair: bool = True
    """Undo mojibake, control characters and broken line ends (ftfy; Chinese punctuation and width stay as they are)."""
    strip_markup: bool = False
    """Remove HTML tags that are left in plain text."""


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
    they differ in a number, a date, a negation or their label."""
    conflicts: Literal["drop", "keep", "majority"] = "drop"
    """Equal texts with different labels (or values): drop all of them, keep all, or keep the most frequent label."""


class SplitConfig(Section):
    """Who is in train, validation and test."""

    by: Literal["auto", "group", "stratified", "column"] = "auto"
    """`group`: no patient, client or matter on both sides; `stratified`: by label; `column`: the role `split` of the
    data; `auto`: `column` if the data has one, else `group` if it has groups, else `stratified`. Duplicate clusters
    never straddle, whichever of our own splits is chosen."""
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
    operations: tuple[str, ...] = ()
    """Further operations of other packages (names behind the door `operation`), run in this order after `normalize`."""
    min_characters: int = Field(default=1, ge=1)
    """Shorter texts are rejected as empty."""
    min_examples_per_label: int = Field(default=2, ge=1)
    """Labels with fewer examples are rejected: they cannot be both learned and tested."""
