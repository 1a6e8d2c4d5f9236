"""A base model with a classification head, fed with batches that hold no padding where the model allows it.

Purpose: run a backbone over flattened rows and a head over its hidden states. Two kinds of head: `own`, the parts of
the model's `AutoModelForSequenceClassification` class, saved in its layout so that plain Transformers loads them; and
`mean`, a linear layer over the mean of all token states, for bases that were trained so (a point more accurate on
Banking77 with MiniLM; see docs/decisions), saved as `head.safetensors` beside a standard backbone.
Whether a model can be flattened is not guessed from its name: its outputs for a few sequences are computed both ways
in float32 and must agree; otherwise every batch is padded (the model's own forward), which is slower, never wrong.
Trade-off: one small numerical test at each load. Not covered: models that AutoModel does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metier.errors import UserError
from metier.train import attention
from metier.train.bases import Base

Windows = Sequence[Sequence[Sequence[int]]]  # text -> windows -> token ids
Rows = Sequence[Sequence[int]]  # windows -> token ids
Head = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # hidden (N, C), first, last -> (n, outputs)

VOCABULARIES = ("tokenizer.json", "vocab*", "*.model", "*.spm", "*.tiktoken", "tekken.json")
AGREEMENT = 1e-3  # largest difference of logits between the flat and the padded way in float32


class Network(nn.Module):
    """Logits (texts, outputs) for a batch of texts given as token windows; a text's windows are averaged."""

    def __init__(self, model: nn.Module, pad: int, outputs: int, pooling: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.model, self.pad, self.pooling = model, pad, pooling
        self.drawn: tuple[str, ...] = ()  # modules that the base has no weights for, drawn from the seed
        self.offset: int | None = None  # where positions start in a flat row; None: the model runs padded
        width = self.config.get_text_config().hidden_size
        self.dropout = nn.Dropout(dropout) if pooling == "mean" else None
        self.classifier = nn.Linear(width, outputs) if pooling == "mean" else None

    @property
    def flat(self) -> bool:
        return self.offset is not None

    def forward(self, texts: Windows) -> torch.Tensor:
        windows = [window for text in texts for window in text]
        order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        logits = self._logits([windows[index] for index in order])
        owners = [owner for owner, text in enumerate(texts) for _ in text]
        owner = torch.tensor([owners[index] for index in order], device=logits.device)
        counts = torch.tensor([len(text) for text in texts], device=logits.device, dtype=torch.float32)
        sums = torch.zeros(len(texts), logits.shape[1], device=logits.device)
        return sums.index_add(0, owner, logits.float()) / counts[:, None]

    def hidden(self, rows: Rows) -> tuple[torch.Tensor, list[int]]:
        """Last hidden states (N, C) of the backbone, the rows end to end, and their lengths."""
        lengths = [len(row) for row in rows]
        if self.flat:
            return self._states(rows), lengths
        ids, mask = self._pad(rows)
        body = self._backbone()
        if getattr(self.config, "is_encoder_decoder", False):
            body = body.get_encoder()
        return body(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()], lengths

    def find_way(self) -> None:
        """Test numerically whether flat rows give the padded model's outputs, and with which position offset."""
        self.offset = None
        if getattr(self.config, "is_encoder_decoder", False):
            return
        generator = torch.Generator().manual_seed(0)
        top = min(int(self.config.get_text_config().vocab_size), 1000)
        probe = [torch.randint(5, top, (n,), generator=generator).tolist() for n in (4, 4, 9)]
        was_training = self.training
        self.eval()
        with torch.no_grad():
            expected = self._logits(probe).float()
            for offset in (0, (getattr(self.config, "pad_token_id", None) or 0) + 1):
                try:
                    self._plain().set_attn_implementation(attention.NAME)
                    self.offset = offset
                    found = self._logits(probe).float()
                except (RuntimeError, IndexError, TypeError, ValueError, AttributeError, KeyError):
                    continue
                if torch.allclose(found, expected, atol=AGREEMENT, rtol=AGREEMENT):
                    break
            else:
                self.offset = None
                self._plain().set_attn_implementation("sdpa" if self._plain()._supports_sdpa else "eager")
        self.train(was_training)

    def _logits(self, rows: Rows) -> torch.Tensor:
        """(n, outputs) of single windows."""
        if self.classifier is not None and self.dropout is not None:
            states, lengths = self.hidden(rows)
            return self.classifier(self.dropout(mean_states(states, lengths)))
        if not self.flat:
            ids, mask = self._pad(rows)
            return self._plain()(input_ids=ids, attention_mask=mask).logits
        states = self._states(rows)
        lengths_ = torch.tensor([len(row) for row in rows], device=states.device)
        ends = lengths_.cumsum(0)
        return head_of(self._plain())(states, ends - lengths_, ends - 1)

    def _states(self, rows: Rows) -> torch.Tensor:
        """Hidden states (N, C) of flat rows."""
        assert self.offset is not None
        backbone, device = self._backbone(), next(self.parameters()).device
        ids = torch.tensor([[token for row in rows for token in row]], device=device)
        positions = torch.cat([torch.arange(len(row)) + self.offset for row in rows])[None].to(device)
        extra = {"use_cache": False} if hasattr(self.config, "use_cache") else {}
        with attention.layout([len(row) for row in rows], device):
            return backbone(input_ids=ids, position_ids=positions, **extra).last_hidden_state[0]

    def _pad(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        device = next(self.parameters()).device
        ids = torch.full((len(rows), max(map(len, rows))), self.pad)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return ids.to(device), mask.to(device)

    def _plain(self) -> Any:
        """The Transformers model without PEFT's wrapper (adapters stay active in its layers)."""
        model: Any = self.model
        return model.get_base_model() if hasattr(model, "peft_config") else model

    def _backbone(self) -> Any:
        plain = self._plain()
        return plain if self.pooling == "mean" else plain.base_model

    @property
    def config(self) -> Any:
        """The backbone's Transformers configuration."""
        return self._plain().config


def mean_states(states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """States (N, C) of rows end to end -> their means (n, C), summed in float32."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(states.device)
    sums = torch.zeros(len(lengths), states.shape[1], device=states.device).index_add(0, owner, states.float())
    return sums / torch.tensor(lengths, device=states.device)[:, None]


def head_of(model: Any) -> Head:
    """The model's own head as a function of hidden states and sequence ends, found by its parts.

    ValueError for a head of another build (the caller then pads).
    """
    body = model.base_model
    if hasattr(model, "score"):  # decoders: the last token decides
        return lambda states, first, last: model.score(states[last])
    if hasattr(model, "pre_classifier"):  # DistilBERT
        return lambda states, first, last: model.classifier(
            model.dropout(torch.relu(model.pre_classifier(states[first])))
        )
    if getattr(body, "pooler", None) is not None and hasattr(model, "dropout"):  # BERT, ALBERT-like
        return lambda states, first, last: model.classifier(model.dropout(body.pooler(states[first][:, None])))
    if hasattr(getattr(model, "classifier", None), "out_proj"):  # RoBERTa, ELECTRA
        return lambda states, first, last: model.classifier(states[first][:, None])
    if getattr(model.config, "classifier_pooling", "") == "cls" and hasattr(model, "head"):  # ModernBERT
        return lambda states, first, last: model.classifier(model.drop(model.head(states[first])))
    raise ValueError(f"unknown head: {type(model).__name__}")


@dataclass(frozen=True)
class Shape:
    """What is put on a base: width of the logits, Transformers' problem type, pooling (own or mean), dropout."""

    outputs: int
    problem_type: str
    pooling: str
    dropout: float | None = None


def load(base: Base, shape: Shape, seed: int, labels: tuple[dict[int, str], dict[str, int]] = ({}, {})) -> Network:
    """Base weights (float32) under a new head, drawn from the seed."""
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    attention.install()
    config = _loaded(AutoConfig, base)
    config.num_labels, config.problem_type = shape.outputs, shape.problem_type
    if labels[0]:
        config.id2label, config.label2id = labels
    head_dropout = set_dropout(config, shape.dropout)
    pad = load_tokenizer(base).pad_token_id
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = pad
    torch.manual_seed(seed)
    kind = AutoModel if shape.pooling == "mean" else AutoModelForSequenceClassification
    model, report = _loaded(kind, base, config=config, dtype=torch.float32, output_loading_info=True)
    network = Network(model, pad, shape.outputs, shape.pooling, head_dropout)
    network.drawn = tuple(sorted({key.rpartition(".")[0] for key in report["missing_keys"]}))
    network.find_way()
    return network


def _loaded(kind: Any, base: Base, **settings: Any) -> Any:
    """`from_pretrained` from the disk alone, never with code of the model's own; UserError when it does not load."""
    from safetensors import SafetensorError

    try:
        return kind.from_pretrained(base.path, local_files_only=True, trust_remote_code=False, **settings)
    except (ValueError, OSError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        why = (str(error) or repr(error)).splitlines()[0]
        raise UserError(
            f"the base '{base.name}' cannot be loaded as a text classifier: {why}",
            str(base.path), "choose a base that AutoModelForSequenceClassification knows; code of a model is never run",
        ) from error  # fmt: skip


def pooling_of(base: Base, wanted: str) -> str:
    """`own` or `mean`: the recipe's wish, or what the base's 1_Pooling/config.json says it was trained with."""
    if wanted != "auto":
        return wanted
    stated = base.path / "1_Pooling" / "config.json"
    return "mean" if stated.is_file() and json.loads(stated.read_text())["pooling_mode_mean_tokens"] else "own"


def load_tokenizer(base: Base) -> Any:
    """The base's tokenizer, with a padding token (the end token where it has none of its own)."""
    from transformers import AutoTokenizer

    try:
        if not any(file for pattern in VOCABULARIES for file in base.path.glob(pattern)):
            raise OSError("the folder holds none of " + ", ".join(VOCABULARIES))  # or an empty one would be made up
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError) as error:
        raise UserError(
            f"the base '{base.name}' has no tokenizer that can be loaded: {str(error).splitlines()[0]}",
            str(base.path), "save it beside the weights with tokenizer.save_pretrained()",
        ) from error  # fmt: skip
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def set_dropout(config: Any, dropout: float | None) -> float:
    """Set the dropout of the backbone's layers (None: 0) and return that of the head (None: the base's own)."""
    heads = ("classifier_dropout", "cls_dropout", "seq_classif_dropout")
    own = next((value for name in (*heads, "hidden_dropout_prob", "dropout", "resid_pdrop")
                if isinstance(value := getattr(config, name, None), float | int)), 0.1)  # fmt: skip
    head = own if dropout is None else dropout
    for name, value in list(vars(config).items()):
        if ("dropout" in name or name.endswith("pdrop")) and isinstance(value, float | int):
            setattr(config, name, head if name in heads else dropout or 0.0)
    if hasattr(config, "classifier_dropout"):
        config.classifier_dropout = head
    return float(head)
