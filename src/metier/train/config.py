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


class MaskedConfig(Section):
    """pretrain: how a base that reads (an encoder) goes on learning."""

    share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens of a text that are to be guessed. Source of the default: BERT (Devlin et al. 2019, 3.1)."""
    whole_words: bool = False
    """All tokens of a word are masked together (English words; Chinese ones as jieba finds them, extra `segment`), so
    that no part of a word gives the rest away."""


class ChoiceConfig(Section):
    """The task `choose`: questions with options."""

    answer: Literal["letter", "text"] = "letter"
    """What is learned and written: the letter of the right option, or its words."""
    order: Literal["drawn", "published"] = "drawn"
    """In training: `drawn` moves the options of each row on by a number that its id gives, so that no letter is right
    more often than another; `published` keeps the order of the data. Evaluation asks in all rotations either way."""


class TaskConfig(Section):
    """What the model is asked to do. In a recipe `task: classify` is short for `task: {name: classify}`."""

    name: str = "classify"
    """Name behind the door `task`: classify, score, tag, relate, extract, embed, generate, choose, chat, pretrain or
    prefer."""
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
    """generate, choose: what is asked of every text. The user's turn is the instruction, the text, and the data's own
    question where it has one, each a paragraph."""
    system: str = ""
    """generate, choose, chat: a system message before every conversation that has none."""
    max_new_tokens: int = Field(default=256, ge=1)
    """generate, chat: an answer is cut after so many tokens, and told as unfinished."""
    choice: ChoiceConfig = ChoiceConfig()
    """choose: what is written, and in which order options are learned."""
    preference: PreferenceConfig = PreferenceConfig()
    """prefer: the loss."""
    label_names: dict[str, str] = Field(default_factory=dict)
    """classify: label -> words for it, used by the zero-shot comparison and the report; default: the label itself."""
    embed: EmbedConfig = EmbedConfig()
    objective: Literal["auto", "causal", "masked"] = "auto"
    """pretrain: `causal` learns each token from those before it, `masked` hidden ones from both sides. auto: `masked`
    for encoders, `causal` for bases that write."""
    masked: MaskedConfig = MaskedConfig()


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


class DistillConfig(Section):
    """A teacher: another model whose answers are learned beside those of the data."""

    teacher: str = ""
    """A run, a model folder (runs/NAME/model), or, where the task writes, a base; empty: none."""
    revision: str = ""
    """Commit or tag of a Hub model; empty: main."""
    weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the loss that the teacher decides; by texts, the share of training answers that it writes. 0: none."""
    temperature: float = Field(default=2.0, gt=0)
    """By what logits are divided before teacher and student are compared; more shows more of what the teacher thinks of
    wrong answers. Source of the default: the lower end of what Hinton et al. 2015 found to work."""
    by: Literal["auto", "logits", "texts"] = "auto"
    """`logits`: the student is to be as sure as the teacher; `texts`: it learns answers that the teacher wrote. auto:
    logits where classes or vocabularies are the same, texts otherwise."""


class QloraConfig(Section):
    """How the base of qlora is held, through bitsandbytes; its adapters are those of `lora`."""

    quant_type: Literal["nf4", "fp4"] = "nf4"
    """Which 16 values four bits stand for. `nf4`: quantiles of a normal distribution, the QLoRA paper's choice."""
    double_quant: bool = True
    """Hold the scales in eight bits too: 4.13 instead of 4.5 bits a weight. Source of the default: the same paper."""


class TrainConfig(Section):
    """How the base model is tuned."""

    base_model: str = "minilm"
    """An installed base (`metier bases`), a folder, or a Hub id."""
    revision: str = ""
    """Commit or tag of a Hub model; empty: main."""
    method: str = "full"
    """Name behind the door `method`: full, lora, qlora or frozen; `auto` chooses by data, task and memory, and says
    why. What it chose is what makes the model, and stands in the run's recipe."""
    lora: LoraConfig = LoraConfig()
    distill: DistillConfig = DistillConfig()
    qlora: QloraConfig = QloraConfig()
    save: Literal["adapter", "merged"] = "adapter"
    """lora, qlora: what becomes the model. `adapter`: the adapter, a few megabytes that need the base; `merged`: a
    whole model, which any program loads that knows the base's kind; the adapter is kept beside it. `metier merge` does
    the same later."""
    pooling: Literal["auto", "own", "mean"] = "auto"
    """How token states become one: `own` is the head of the model's own classification class (first or last token);
    `mean` averages all tokens under a linear head; `auto` takes `mean` for bases that were trained so (sentence
    encoders, which say it in 1_Pooling/config.json) and `own` for all others."""
    epochs: Positive | Literal["auto"] = "auto"
    """Passes over the training split, at most; early stopping may end sooner. auto: the method's own (full 8, lora and
    qlora 10, frozen 60); at most 3 for generate and chat, 1 for pretrain and prefer."""
    max_steps: int = Field(default=0, ge=0)
    """Optimizer steps in all, whatever `epochs` says; 0: as many as the epochs have."""
    learning_rate: Positive | Literal["auto"] = "auto"
    """Peak learning rate. auto: the method's own, by the size of the base (see train/methods/)."""
    head_learning_rate: Positive | Literal["auto"] = "auto"
    """For the new head, which starts from nothing. auto: 10 times the learning rate."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: matrices of the layers step along the orthogonalised momentum (Jordan et al. 2024), everything else by
    AdamW, at one rate for both. For whole models that learn from random weights or from much text; method full only."""
    weight_decay: float = Field(default=0.01, ge=0)
    """On matrices only, decoupled from the gradient."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly; afterwards it falls linearly to 0."""
    decay: float = Field(default=1.0, ge=0, le=1)
    """Share of the steps after the warm-up in which the learning rate falls; before, it stays at its peak (warm-up,
    stable, decay: Hu et al. 2024, MiniCPM). 1: it falls from the peak on. 0: it never falls, which suits training whose
    end is not known yet."""
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
    max_silent: float = Field(default=0.0, ge=0, le=1)
    """Share of the training examples of a task that writes of which nothing may be learned, because every label is
    masked or lies beyond what is read; training does not start where it is more."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout everywhere; empty: none in the base's layers (masks are slow to draw on a CPU, and short training hardly
    overfits), the base's own in front of the head."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """classify: share of the target spread over all classes."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Norm."""
    validate_steps: int = Field(default=0, ge=0)
    """Also look at the validation split after every so many steps, for epochs that take hours; 0: after each epoch
    only."""
    early_stopping: int = Field(default=3, ge=0)
    """Evaluations on validation without improvement before training stops; 0: never. The best weights are kept."""
    bf16: bool | Literal["auto"] = "auto"
    """bfloat16 autocast: `auto` where the processor computes in it (AVX512-BF16, AMX, CUDA, MPS)."""
    gradient_checkpointing: bool | Literal["auto"] = execution("auto")
    """Compute each layer again in the backward pass instead of keeping what it computed: less memory, about a third
    more time, the same result. auto: where what all layers keep would fill more than half of the free memory."""
    checkpoint_seconds: float = execution(120.0, ge=0)
    """Save a resumable state at the first step after so many seconds. Does not change the result."""
    device: Literal["auto", "cpu", "cuda", "mps"] = execution("auto")
    """Where to compute; auto: cuda, then mps, then cpu."""
    processes: int = execution(1, ge=1)
    """Processes that train together on this machine, each with its share of every batch: one for each GPU, or on
    processors of many cores. Sums are rounded in another order, and dropout draws other numbers."""
    energy_country: str = execution("", pattern="^([A-Z]{3})?$")
    """Where the machine stands (ISO 3166-1, three letters), for codecarbon: it then estimates the energy from the
    processor's rated power where no counter can be read. Empty: energy is measured, or it is "not measured"."""
    threads: int = execution(0, ge=0)
    """Processor threads; 0: PyTorch's choice, or an equal share of the processors for each of several processes. Sums
    are rounded in another order with another number of threads, so bits repeat only for the same number; the meaning of
    the run does not change."""
