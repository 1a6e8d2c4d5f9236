"""What the recipe's `task` and `train` sections may say. No torch here: the recipe must load in milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.config import Section, execution

Positive = Annotated[float, Field(gt=0)]


class PreferenceConfig(Section):
    """How one of two answers is made the likelier one."""

    loss: Literal["dpo", "simpo"] = "dpo"
    """`dpo` (Rafailov et al. 2023) compares with the untouched base; `simpo` (Meng et al. 2024) needs no reference and
    compares mean log-likelihoods, so that length alone wins nothing."""
    beta: Positive | Literal["auto"] = "auto"
    """Steepness. auto: the papers' own (dpo 0.1, simpo 2.0)."""
    margin: float = Field(default=0.5, ge=0)
    """simpo: by how much the chosen answer shall be ahead, in units of 1 / beta (gamma / beta of the paper)."""


class EmbedConfig(Section):
    """The task `embed`: how texts become vectors, and against what a query's own passage must win."""

    pooling: Literal["auto", "mean", "first", "last"] = "auto"
    """How token states become one vector: their mean, the first or the last of them. auto: as the base says in
    1_Pooling/config.json, else `last` for decoders (only their last token has seen the whole text) and `mean`."""
    scale: float = Field(default=20.0, gt=0)
    """Similarities (cosines) are multiplied by it before the softmax: one over the temperature. Source of the default:
    what sentence encoders are trained with (temperature 0.05)."""
    symmetric: bool = False
    """Also ask every passage for its query among the queries of the batch; the loss is the mean of the two."""
    same_group: Literal["mask", "keep"] = "mask"
    """`mask`: passages of the query's own group (a document, a patient) are no negatives, for they may answer it too.
    `keep`: they are, for data in which each passage of a group answers a question of its own."""
    hard_negatives: Literal["none", "bm25", "base"] = "none"
    """Passages of the training split that look right and are not, by BM25 or by the untouched base; they are added to
    those that the data brings (a column `negatives`)."""
    negatives: int = Field(default=1, ge=1)
    """Hard negatives of each query at most, brought and mined together."""
    query_prefix: str = ""
    """Put before every query, for bases that were trained so (E5: "query: ")."""
    passage_prefix: str = ""
    """Likewise before every passage (E5: "passage: ")."""


class TaskConfig(Section):
    """What the model is asked to do. In a recipe `task: classify` is short for `task: {name: classify}`."""

    name: str = "classify"
    """Name behind the door `task`: classify, score, tag, relate, extract, embed, generate, chat, pretrain or prefer."""
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
    no_answer: bool = True
    """extract: a question may have no answer in its text; the model then learns to say so. Off: an answer is always
    given, and a question without one is rejected."""
    max_answer_tokens: int = Field(default=30, ge=1)
    """extract: the longest answer that is given, in tokens; 30 is what BERT's own code uses on SQuAD. Clauses of
    contracts need some hundred."""
    instruction: str = ""
    """generate: what is asked of every text. The user's turn is the instruction, the text, and the data's own question
    where it has one, each a paragraph."""
    system: str = ""
    """generate, chat: a system message before every conversation that has none."""
    max_new_tokens: int = Field(default=256, ge=1)
    """generate, chat: an answer is cut after so many tokens, and told as unfinished."""
    preference: PreferenceConfig = PreferenceConfig()
    """prefer: the loss."""
    label_names: dict[str, str] = Field(default_factory=dict)
    """classify: label -> words for it, used by the zero-shot comparison and the report; default: the label itself."""
    embed: EmbedConfig = EmbedConfig()


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
    frozen 60); at most 3 for generate and chat, 1 for pretrain and prefer."""
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
    """Tokens the model sees at once; empty: the base's own limit, at most 512 (4,096 for a task that writes)."""
    long_text: Literal["window", "cut"] = "window"
    """Longer texts: `window` reads all of it in overlapping windows and averages their outputs; `cut` keeps the
    beginning. Either is counted."""
    max_windows: int = Field(default=8, ge=1)
    """`window`: more windows than this are cut, and counted."""
    window_overlap: int = Field(default=32, ge=0)
    """`window`: tokens shared by two neighbouring windows."""
    max_cut: float = Field(default=0.9, ge=0, le=1)
    """Share of all tokens of the training texts that may be left unread; training does not start where it is more."""
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
