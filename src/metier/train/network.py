"""A base model with a head, fed with batches that hold no padding where the model allows it.

Purpose: run a backbone over flattened rows and a head over its hidden states. Heads by name (`pooling`): `own`,
`tokens` and `answers` are the parts of the model's `AutoModelForSequenceClassification`, `...TokenClassification` and
`...QuestionAnswering` class, saved in its layout so that plain Transformers loads them; `mean` is a linear layer over
the mean of all token states, for bases that were trained so (a point more accurate on Banking77 with MiniLM; see
docs/decisions), and `spans` one over the means of three parts side by side; both are saved as `head.safetensors`
beside a standard backbone. `vector-mean`, `vector-first` and `vector-last` have no head: a row is the states' mean, or
the first or last of them, at length 1.
Whether a model can be flattened is not guessed from its name: its outputs for a few sequences are computed both ways
in float32 and must agree; otherwise every batch is padded (the model's own forward), which is slower, never wrong.
Trade-off: one small numerical test at each load. Not covered: models that AutoModel does not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metier.errors import UserError
from metier.train import attention
from metier.train.bases import Base
from metier.train.encoding import Item
from metier.train.heads import gather_parts, head_of, mean_states, token_head_of, vectors_of
from metier.train.quantization import Quantization, load_quantized

Rows = Sequence[Sequence[int]]  # windows -> token ids
# The class of Transformers that holds base and head; the words for what it is, for messages.
MODELS = {
    "mean": ("AutoModel", "text encoder"),
    "spans": ("AutoModel", "text encoder"),
    "own": ("AutoModelForSequenceClassification", "text classifier"),
    "tokens": ("AutoModelForTokenClassification", "tagger of tokens"),
    "answers": ("AutoModelForQuestionAnswering", "finder of answers"),
    "vector-mean": ("AutoModel", "text encoder"),
    "vector-first": ("AutoModel", "text encoder"),
    "vector-last": ("AutoModel", "text encoder"),
}
VECTORS = ("vector-mean", "vector-first", "vector-last")
BARE = ("mean", "spans", *VECTORS)  # a backbone without a class of Transformers around it
BY_TOKEN = ("tokens", "answers")
SPANS = 3  # parts of a text whose states stand side by side under the head `spans`

VOCABULARIES = ("tokenizer.json", "vocab*", "*.model", "*.spm", "*.tiktoken", "tekken.json")
AGREEMENT = 1e-3  # largest difference of logits between the flat and the padded way in float32


class Network(nn.Module):
    """Rows of logits (R, outputs), float32, for a batch of items, in their order.

    rows: `texts`, one row an item, the mean over its windows; `windows`, one a window; `parts`, one a part of a window,
    the mean over the part's tokens.
    """

    def __init__(
        self, model: nn.Module, pad: int, outputs: int, pooling: str, rows: str = "texts", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.model, self.pad, self.pooling, self.rows = model, pad, pooling, rows
        self.drawn: tuple[str, ...] = ()  # modules that the base has no weights for, drawn from the seed
        self.quantization: Quantization | None = None  # how the base is held, where not in float32
        self.offset: int | None = None  # where positions start in a flat row; None: the model runs padded
        own = pooling in ("mean", "spans")  # a head of ours
        self.dropout = nn.Dropout(dropout) if own else None
        self.classifier = nn.Linear(self.features, outputs) if own else None

    @property
    def flat(self) -> bool:
        return self.offset is not None

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def features(self) -> int:
        """Size of what the head sees of a row."""
        return self.width * (SPANS if self.pooling == "spans" else 1)

    def forward(self, items: Sequence[Item]) -> torch.Tensor:
        if self.pooling == "spans":
            assert self.classifier is not None and self.dropout is not None
            return self.classifier(self.dropout(self.part_states(items).reshape(len(items), -1))).float()
        windows, types, order, back = _sorted(items)
        if self.rows == "parts":
            logits, lengths = self._token_logits(windows, types)
            return self.parts_of(items, logits, lengths, order).float()
        logits = self._logits(windows, types)
        if self.rows == "windows":
            return logits[torch.tensor(back, device=logits.device)].float()
        owners = [owner for owner, item in enumerate(items) for _ in item.windows]
        owner = torch.tensor([owners[index] for index in order], device=logits.device)
        counts = torch.tensor([len(item.windows) for item in items], device=logits.device, dtype=torch.float32)
        sums = torch.zeros(len(items), logits.shape[1], device=logits.device)
        return sums.index_add(0, owner, logits.float()) / counts[:, None]

    def hidden(self, rows: Rows, types: Rows = ()) -> tuple[torch.Tensor, list[int]]:
        """Last hidden states (N, C) of the backbone, the rows end to end, and their lengths."""
        lengths = [len(row) for row in rows]
        if self.flat:
            return self._states(rows, types), lengths
        body = self._backbone()
        if getattr(self.config, "is_encoder_decoder", False):
            body = body.get_encoder()
        inputs = self._pad(rows, types)
        return body(**inputs).last_hidden_state[inputs["attention_mask"].bool()], lengths

    def part_states(self, items: Sequence[Item]) -> torch.Tensor:
        """Hidden states (R, C) of the items' parts, each the mean over its tokens; for a head on a frozen base."""
        windows, types, order, _ = _sorted(items)
        states, lengths = self.hidden(windows, types)
        return self.parts_of(items, states.float(), lengths, order)

    @staticmethod
    def parts_of(
        items: Sequence[Item], rows: torch.Tensor, lengths: Sequence[int], order: Sequence[int]
    ) -> torch.Tensor:
        """(R, X): rows (N, X) of tokens, windows in `order` -> the items' parts, in the items' order."""
        starts, at = [0] * len(order), 0
        for index, length in zip(order, lengths, strict=True):
            starts[index] = at
            at += length
        return gather_parts(rows, starts, [window for item in items for window in item.parts])

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
            expected = self._probe(probe)
            for offset in (0, (getattr(self.config, "pad_token_id", None) or 0) + 1):
                try:
                    self._plain().set_attn_implementation(attention.NAME)
                    self.offset = offset
                    found = self._probe(probe)
                except (RuntimeError, IndexError, TypeError, ValueError, AttributeError, KeyError):
                    continue
                if torch.allclose(found, expected, atol=AGREEMENT, rtol=AGREEMENT):
                    break
            else:
                self.offset = None
                self._plain().set_attn_implementation("sdpa" if self._plain()._supports_sdpa else "eager")
        self.train(was_training)

    def _probe(self, rows: Rows) -> torch.Tensor:
        """What both ways must agree in: logits and, where each token has its own, hidden states too, because the logits
        of a new head are small."""
        if self.pooling in BY_TOKEN:
            return torch.cat([self._token_logits(rows)[0], self.hidden(rows)[0]], dim=1).float()
        return self._logits(rows).float()

    def _logits(self, rows: Rows, types: Rows = ()) -> torch.Tensor:
        """(n, outputs) of single windows."""
        if self.pooling == "spans":  # only asked while the way is found: the states themselves
            states, lengths = self.hidden(rows, types)
            return mean_states(states, lengths)
        if self.pooling in VECTORS:
            return vectors_of(*self.hidden(rows, types), self.pooling)
        if self.classifier is not None and self.dropout is not None:
            states, lengths = self.hidden(rows, types)
            return self.classifier(self.dropout(mean_states(states, lengths)))
        if not self.flat:
            return self._plain()(**self._pad(rows, types)).logits
        states = self._states(rows, types)
        lengths_ = torch.tensor([len(row) for row in rows], device=states.device)
        ends = lengths_.cumsum(0)
        return head_of(self._plain())(states, ends - lengths_, ends - 1)

    def _token_logits(self, rows: Rows, types: Rows = ()) -> tuple[torch.Tensor, list[int]]:
        """(N, outputs) of all tokens, the rows end to end, and the rows' lengths."""
        lengths = [len(row) for row in rows]
        if self.flat:
            return token_head_of(self._plain())(self._states(rows, types)), lengths
        inputs = self._pad(rows, types)
        answer, mask = self._plain()(**inputs), inputs["attention_mask"].bool()
        if self.pooling == "answers":
            return torch.stack([answer.start_logits[mask], answer.end_logits[mask]], dim=1), lengths
        return answer.logits[mask], lengths

    def _states(self, rows: Rows, types: Rows = ()) -> torch.Tensor:
        """Hidden states (N, C) of flat rows."""
        assert self.offset is not None
        backbone, device = self._backbone(), next(self.parameters()).device
        ids = torch.tensor([[token for row in rows for token in row]], device=device)
        positions = torch.cat([torch.arange(len(row)) + self.offset for row in rows])[None].to(device)
        extra: dict[str, Any] = {"use_cache": False} if hasattr(self.config, "use_cache") else {}
        if types:
            extra["token_type_ids"] = torch.tensor([[kind for row in types for kind in row]], device=device)
        with attention.layout([len(row) for row in rows], device):
            return backbone(input_ids=ids, position_ids=positions, **extra).last_hidden_state[0]

    def _pad(self, rows: Rows, types: Rows = ()) -> dict[str, torch.Tensor]:
        device, longest = next(self.parameters()).device, max(map(len, rows))
        ids = torch.full((len(rows), longest), self.pad)
        mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
            if types:
                kinds[index, : len(row)] = torch.tensor(types[index])
        inputs = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": kinds} if types else {})
        return {name: value.to(device) for name, value in inputs.items()}

    def _plain(self) -> Any:
        """The Transformers model without PEFT's wrapper (adapters stay active in its layers)."""
        model: Any = self.model
        return model.get_base_model() if hasattr(model, "peft_config") else model

    def _backbone(self) -> Any:
        plain = self._plain()
        return plain if self.pooling in BARE else plain.base_model

    @property
    def config(self) -> Any:
        """The backbone's Transformers configuration."""
        return self._plain().config


def _sorted(items: Sequence[Item]) -> tuple[Rows, Rows, list[int], list[int]]:
    """All windows by length, so that neighbours are equally long: ids, types, their old places, and the way back."""
    windows = [window for item in items for window in item.windows]
    types = [kinds for item in items for kinds in item.types]
    order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
    back = sorted(range(len(windows)), key=order.__getitem__)
    return [windows[i] for i in order], [types[i] for i in order] if types else [], order, back


@dataclass(frozen=True)
class Shape:
    """What is put on a base: width of the logits, Transformers' problem type, head's name, dropout, what a row is."""

    outputs: int
    problem_type: str
    pooling: str
    dropout: float | None = None
    rows: str = "texts"


def load(
    base: Base, shape: Shape, seed: int, labels: tuple[dict[int, str], dict[str, int]] = ({}, {}),
    quantization: Quantization | None = None,
) -> Network:  # fmt: skip
    """Base weights under a new head, drawn from the seed; a base that writes keeps its own (language.py).

    quantization: how the base is held; None: in float32.
    """
    import transformers

    if shape.pooling == "language":
        from metier.train import language

        return language.load(base, shape.dropout, seed, quantization)  # type: ignore[no-any-return]
    if shape.pooling == "masked":
        from metier.train import masked

        return masked.load(base, shape.dropout, seed, quantization)

    attention.install()
    name, kind = MODELS[shape.pooling]
    config = loaded(transformers.AutoConfig, base, kind)
    config.num_labels, config.problem_type = shape.outputs, shape.problem_type or None
    if labels[0]:
        config.id2label, config.label2id = labels
    head_dropout = set_dropout(config, shape.dropout)
    pad = load_tokenizer(base).pad_token_id
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = pad
    model, report = weights(getattr(transformers, name), base, kind, config, seed, quantization)
    network = Network(model, pad, shape.outputs, shape.pooling, shape.rows, head_dropout)
    network.quantization = quantization
    network.drawn = tuple(sorted({key.rpartition(".")[0] for key in report["missing_keys"]}))
    network.find_way()
    return network


def weights(
    loader: Any, base: Base, kind: str, config: Any, seed: int, quantization: Quantization | None
) -> tuple[Any, Any]:
    """(model, what Transformers reports of its loading); what the base has no weights for is drawn from the seed."""

    def read(**settings: Any) -> Any:
        torch.manual_seed(seed)
        return loaded(loader, base, kind, config=config, dtype=torch.float32, output_loading_info=True, **settings)

    return read() if quantization is None else load_quantized(read, loader, config, quantization)


def loaded(loader: Any, base: Base, kind: str, **settings: Any) -> Any:
    """`from_pretrained` from the disk alone, never with code of the model's own; UserError when it does not load."""
    from safetensors import SafetensorError

    from metier.train import memory

    try:
        return loader.from_pretrained(base.path, local_files_only=True, trust_remote_code=False, **settings)
    except (ValueError, OSError, RuntimeError, KeyError, ImportError, MemoryError, SafetensorError) as error:
        if memory.out_of_memory(error):
            need = memory.gigabytes(memory.parameters_on_disk(base.path) * memory.FLOAT)
            raise UserError(f"the weights of the base '{base.name}' ({need}) do not fit into memory", str(base.path),
                            "choose a smaller base, or free memory") from error  # fmt: skip
        why = (str(error) or repr(error)).splitlines()[0]
        raise UserError(
            f"the base '{base.name}' cannot be loaded as a {kind}: {why}",
            str(base.path), f"choose a base that {loader.__name__} knows; code of a model is never run",
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
