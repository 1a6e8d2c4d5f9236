"""What the recipe's `task` and `train` sections may say. No torch here: the recipe must load in milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.config import Section, execution

Positive = Annotated[float, Field(gt=0)]


class TaskConfig(Section):
    """What the model is asked to do. In a recipe `task: classify` is short for `task: {name: classify}`."""

    name: str = "classify"
    """Name behind the door `task`: classify, score, tag or relate."""
    multi_label: bool = False
    """classify: any number of labels a text; the label column then holds several, see `label_separator`."""
    label_separator: str = "|"
    """classify, multi_label: what separates labels within one cell (JSON lists are recognised too)."""
    class_weights: Literal["none", "balanced"] = "none"
    """classify: `balanced` weights the loss by inverse frequency (n / (classes * n_class)), for rare classes."""
    pair: bool = False
    """classify, score: each example is two texts, a document and a short one about it (a hypothesis, a question), read
    together. The short one is the role `pair` of the data, or the second text of a known shape of pairs."""
    sub_tokens: Literal["first", "mean"] = "first"
    """tag: what answers for a word of several tokens: its first token, or the mean over them. `first` is
    what BERT's paper does; the two were not measured against each other here."""
    markers: tuple[str, str, str, str] = ("<<", ">>", "[[", "]]")
    """relate: what stands before and after the first marked stretch of a text, and before and after the second."""
    label_names: dict[str, str] = Field(default_factory=dict)
    """classify: label -> words for it, used by the zero-shot comparison and the report; default: the label itself."""


class LoraConfig(Section):
    """Low-rank adapters through PEFT."""

    r: int = Field(default=16, ge=1)
    """Rank."""
    alpha: float = Field(default=32.0, gt=0)
    """Scaling numerator; the update is scaled by alpha / r (alpha / sqrt(r) with rslora)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Which layers get an adapter (PEFT's names)."""
    rslora: bool = False
    """Rank-stabilised scaling."""
    dora: bool = False
    """Weight-decomposed adapters."""


class TrainConfig(Section):
    """How the base model is tuned."""

    base_model: str = "minilm"
    """An installed base (`metier bases`), a folder, or a Hub id."""
    revision: str = ""
    """Commit or tag of a Hub model; empty: main."""
    method: str = "full"
    """Name behind the door `method`: full, lora, frozen or qlora; `auto` chooses by data, task and memory, and says
    why. What it chose is what makes the model, and stands in the run's recipe."""
    lora: LoraConfig = LoraConfig()
    pooling: Literal["auto", "own", "mean"] = "auto"
    """How token states become one: `own` is the head of the model's own classification class (first or last token);
    `mean` averages all tokens under a linear head; `auto` takes `mean` for bases that were trained so (sentence
    encoders, which say it in 1_Pooling/config.json) and `own` for all others."""
    epochs: Positive | Literal["auto"] = "auto"
    """Passes over the training split, at most; early stopping may end sooner. auto: the method's own (full 8, lora 10,
    frozen 60)."""
    learning_rate: Positive | Literal["auto"] = "auto"
    """Peak learning rate. auto: the method's own, by the size of the base (see train/methods/)."""
    head_learning_rate: Positive | Literal["auto"] = "auto"
    """For the new head, which starts from nothing. auto: 10 times the learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW, on matrices only."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly; afterwards it falls linearly to 0."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Examples in one optimizer step, on average: the token budget of a batch is this times the mean length.
    auto: the method's own (full and frozen 64, lora 32), less for small sets so that an epoch has 40 steps, at least
    8."""
    max_batch_tokens: int = Field(default=16384, ge=1)
    """Tokens that go through the model at once; a larger batch is cut into parts whose gradients add up. Memory."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens the model sees at once; empty: the base's own limit, at most 512."""
    long_text: Literal["window", "cut"] = "window"
    """Longer texts: `window` reads all of it in overlapping windows and averages their outputs; `cut` keeps the
    beginning. Either is counted."""
    max_windows: int = Field(default=8, ge=1)
    """`window`: more windows than this are cut, and counted."""
    window_overlap: int = Field(default=32, ge=0)
    """`window`: tokens shared by two neighbouring windows."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout everywhere; empty: none in the base's layers (masks are slow to draw on a CPU, and short training hardly
    overfits), the base's own in front of the head."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """classify: share of the target spread over all classes."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Norm."""
    early_stopping: int = Field(default=3, ge=0)
    """Evaluations on validation without improvement before training stops; 0: never. The best weights are kept."""
    bf16: bool | Literal["auto"] = "auto"
    """bfloat16 autocast: `auto` where the processor computes in it (AVX512-BF16, AMX, CUDA, MPS)."""
    checkpoint_seconds: float = execution(120.0, ge=0)
    """Save a resumable state at the first step after so many seconds. Does not change the result."""
    device: Literal["auto", "cpu", "cuda", "mps"] = execution("auto")
    """Where to compute; auto: cuda, then mps, then cpu."""
    threads: int = execution(0, ge=0)
    """Processor threads; 0: PyTorch's choice. Sums are rounded in another order with another number of threads, so
    bits repeat only for the same number; the meaning of the run does not change."""
