"""What the recipe's `evaluate` section may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import Section
from metier.evaluate.config_behaviour import BiasConfig, ForgettingConfig, RobustnessConfig
from metier.evaluate.config_evidence import ContaminationConfig, ExplanationConfig, PrivacyConfig
from metier.evaluate.config_writing import FluencyConfig, JudgeConfig, NumbersConfig, RelevanceConfig


class EvaluateConfig(Section):
    """Against what the tuned model is judged, and when it is good enough."""

    floors: Literal["auto"] | tuple[str, ...] = "auto"
    """Cheap models that it must beat (names behind the door `floor`). auto: those that the task names: majority and
    tfidf for labels, mean and tfidf for scores, dictionary and linear_tagger for tagging, bm25 for
    retrieval. `majority` and `mean` stand for each other: labels take the first, `score` takes the second."""
    corpus: Literal["test", "all"] = "test"
    """embed: what each test query is looked for in: all different passages of the test split, or those of the other
    splits too, as distractors."""
    base: bool = True
    """Compare with the untouched base: a linear probe on its frozen embeddings and zero-shot by label names;
    for retrieval its own vectors."""
    checks: tuple[str, ...] = ()
    """What the models are asked beyond the test set (names behind the door `check`). Each stores what was said and
    gives figures."""
    robustness: RobustnessConfig = RobustnessConfig()
    """Texts with errors, in other scripts, among other texts."""
    bias: BiasConfig = BiasConfig()
    """Groups of people, and names and words that stand for them."""
    forgetting: ForgettingConfig = ForgettingConfig()
    """What the base could do outside the field."""
    privacy: PrivacyConfig = PrivacyConfig()
    """What the model remembers of its training texts."""
    contamination: ContaminationConfig = ContaminationConfig()
    """Whether training, or the base, knows the test set."""
    explanation: ExplanationConfig = ExplanationConfig()
    """Which words and which training examples an answer rests on."""
    relevance: RelevanceConfig = RelevanceConfig()
    """Whether written answers belong to their questions."""
    fluency: FluencyConfig = FluencyConfig()
    """Whether written answers are well-formed."""
    numbers: NumbersConfig = NumbersConfig()
    """Written answers: when two numbers are one."""
    judge: JudgeConfig = JudgeConfig()
    """Other models that compare written answers."""
    accept: tuple[str, ...] = ()
    """Acceptance criteria, written before the run: `accuracy >= 0.9`, `accuracy > tfidf + 0.01`,
    `recall[fraud] >= 0.8`, `macro_f1 >= base - 0.02`, `mae <= 0.2`, of a part of the test set
    `accuracy[language=zh] >= 0.8`. Every one must be met. Empty: the tuned model must beat the base and every floor on
    the task's first metric."""
    slices: tuple[str, ...] = ("language", "length")
    """Columns by whose values the test split is looked at in parts: `language`, `length` (characters, in bins),
    `source` (first folder, or name of the file), `file`, `time` (year), `month`, `group`, `label`, `title`,
    `media_type`, `license`, or any key of the documents' metadata. Columns that `accept` names are added."""
    slice_minimum: int = Field(default=30, ge=10)
    """Test examples below which a part has no figures and is not named: fewer say nothing and may point at a person.
    Source of the default: the usual bound of large-sample methods, as for all intervals here."""
    validation_items: int = Field(default=2000, ge=0)
    """Validation examples that the tuned model answers too, at most: on them its confidence is set right and a
    threshold is chosen. 0: none. Source of the default: a share is then known to 2 points, in seconds."""
    served_error: float = Field(default=0.02, gt=0, lt=1)
    """Error that answers without a person may have at most: the threshold of confidence is chosen so."""
    set_coverage: float = Field(default=0.9, gt=0.5, lt=1)
    """Share of texts whose set of labels (classify) or interval (score) shall hold the truth."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Significance level of tests, after Holm's correction; intervals cover 1 - alpha."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Power at which the minimum detectable effect is stated."""
    bootstrap: int = Field(default=2000, ge=200)
    """Bootstrap resamples."""
    listed_cases: int = Field(default=50, ge=0)
    """Broken and mended cases shown in the report; all are kept in cases.parquet."""

    @property
    def planted(self) -> tuple[int, int, int]:
        """Canaries that training plants, how often each, and among how many secrets: all 0 without the check."""
        if "privacy" not in self.checks or not self.privacy.canaries:
            return 0, 0, 0
        return self.privacy.canaries, self.privacy.canary_repeats, self.privacy.candidates
