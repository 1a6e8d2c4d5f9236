"""A base model that writes: its network gives the loss of each example's learned tokens.

Purpose: examples that begin alike go through a decoder once (sharing.py, tree_attention.py), its head sees labelled
places only (head_loss.py). Whether a model can be run so is not guessed from its name: the losses of a few sequences
are computed both ways in float32 and must agree; otherwise every batch is padded and runs through the model's own
forward, which is slower, never wrong. An encoder-decoder (seq2seq.py) reads the prompt with its encoder.
Trade-off: one small numerical test at each load. Not covered: models that AutoModelForCausalLM does not know.
Shapes: B inputs, each a family of examples; E examples, P labelled places, N tokens of the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from metier.errors import UserError
from metier.train import tree_attention
from metier.train.bases import Base
from metier.train.head_loss import labelled_losses, per_place
from metier.train.sharing import Example, plant

AGREEMENT = 1e-3  # largest relative difference of losses between the tree and the model's own forward, in float32
Family = Sequence[Example]


class Labelled(NamedTuple):
    """A head, the states (P, C) it sees, the tokens (P,) to be found, and entries: of which place, example and weight
    each (E,)."""

    head: Any
    states: torch.Tensor
    target: torch.Tensor
    entries: tuple[Any, ...] = ()


class LanguageNetwork(nn.Module):
    """Losses in nats, float32: (E, 1), one an example in the order of the families; in training, where `summed` says
    so, (1, 1), all together."""

    pooling, rows = "language", "examples"
    classifier = None  # no head of ours

    def __init__(self, model: Any, pad: int) -> None:
        super().__init__()
        self.model, self.pad = model, pad
        self.drawn: tuple[str, ...] = ()
        self.quantization: Any = None  # how the base is held, where not in float32
        self.summed = False
        self.shares = False  # the tree is exact for this model
        self.lesson: Any = None  # losses against a teacher, in training (teaching.py)

    @property
    def flat(self) -> bool:
        return self.shares

    @property
    def config(self) -> Any:
        """The model's Transformers configuration."""
        return self.plain().config

    def plain(self) -> Any:
        """The Transformers model without PEFT's wrapper (adapters stay active in its layers)."""
        model: Any = self.model
        return model.get_base_model() if hasattr(model, "peft_config") else model

    def forward(self, families: Sequence[Family]) -> torch.Tensor:
        examples = [one for family in families for one in family]
        if not self.shares:
            return self._padded(examples)[:, None]
        device = next(self.parameters()).device
        found = self.labelled(families)
        pair, owner, weight = (torch.from_numpy(part).to(device) for part in found.entries)
        if self.training and self.lesson is not None:
            losses = self.lesson(families, found.head, found.states, found.target)
        elif self.training and self.summed:
            weights = torch.zeros(len(found.target), device=device).index_add(0, pair, weight)
            return labelled_losses(found.head, found.states, found.target, weights)[None, None]
        else:
            losses = per_place(found.head, found.states, found.target)
        return torch.zeros(len(examples), device=device).index_add(0, owner, losses[pair] * weight)[:, None]

    def labelled(self, families: Sequence[Family]) -> Labelled:
        """What the head sees of a batch, and what it is to find there."""
        device = next(self.parameters()).device
        row = plant([one for family in families for one in family])
        with tree_attention.tree(row, device):
            ids, places = (torch.from_numpy(part)[None].to(device) for part in (row.ids, row.positions))
            body = self.plain().base_model
            states = body(input_ids=ids, position_ids=places, use_cache=False).last_hidden_state[0]
        predictor, target = (torch.from_numpy(part).to(device) for part in (row.predictor, row.target))
        return Labelled(head_of(self.plain()), states[predictor], target, (row.pair, row.example, row.weight))

    def _padded(self, examples: Sequence[Example]) -> torch.Tensor:
        """(E,) by the model's own forward on padded rows, with all logits."""
        device, longest = next(self.parameters()).device, max(map(len, examples))
        ids = torch.full((len(examples), longest), self.pad)
        mask, weights = torch.zeros_like(ids), torch.zeros(ids.shape)
        for index, one in enumerate(examples):
            ids[index, : len(one)] = torch.from_numpy(one.ids)
            mask[index, : len(one)] = 1
            weights[index, : len(one)] = torch.from_numpy(one.weights)
        ids, mask, weights = ids.to(device), mask.to(device), weights.to(device)
        logits = self.plain()(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        return (losses * weights[:, 1:]).sum(1)

    def find_way(self) -> None:
        """Test numerically whether shared beginnings give the losses of the model's own forward."""
        examples = _probe(min(int(self.config.get_text_config().vocab_size), 1000))
        was_training, self.shares = self.training, False
        self.eval()
        with torch.no_grad():
            expected = self._padded(examples)
            try:
                self.use_tree()
                self.shares = True
                found = self([examples])[:, 0]
                self.shares = bool(torch.allclose(found, expected, atol=AGREEMENT, rtol=AGREEMENT))
            except (RuntimeError, IndexError, TypeError, ValueError, AttributeError, KeyError, LookupError):
                self.shares = False
        if not self.shares:
            self._use_own()
        self.train(was_training)

    def end_with(self, stops: Sequence[int]) -> None:
        """Save with the weights which tokens end an answer, so that every server stops where training did."""
        settings = getattr(self.plain(), "generation_config", None)
        if settings is not None:
            settings.eos_token_id, settings.pad_token_id = list(stops), self.pad

    def use_tree(self) -> None:
        self.plain().set_attn_implementation(tree_attention.NAME)

    def _use_own(self) -> None:
        self.plain().set_attn_implementation("sdpa" if self.plain()._supports_sdpa else "eager")

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """The Transformers model, ready for `generate` (one token after the other needs its own attention)."""
        was_training = self.training
        self.eval()
        if self.shares:
            self._use_own()
        try:
            yield self.model
        finally:
            if self.shares:
                self.use_tree()
            self.train(was_training)


def load(base: Base, dropout: float | None, seed: int, quantization: Any = None) -> Any:
    """The base with its language head, in float32 or as `quantization` says; UserError when it cannot write."""
    import transformers

    from metier.train.network import load_tokenizer, loaded, set_dropout, weights

    tree_attention.install()
    config = loaded(transformers.AutoConfig, base, "model that writes")
    if not writes(config):
        raise UserError(
            f"the base '{base.name}' is an encoder ({config.model_type}): it reads, and cannot write",
            "train.base_model",
            "choose a causal model (Llama, Qwen, GPT-2, ...) or an encoder-decoder (T5, BART) for this task",
        )  # fmt: skip
    set_dropout(config, dropout)
    pad = load_tokenizer(base).pad_token_id
    if config.is_encoder_decoder:
        from metier.train.seq2seq import Seq2SeqNetwork

        model, _ = weights(transformers.AutoModelForSeq2SeqLM, base, "encoder-decoder", config, seed, quantization)
        network: LanguageNetwork = Seq2SeqNetwork(model, pad)
    else:
        still_attention(config)
        model, _ = weights(transformers.AutoModelForCausalLM, base, "causal model", config, seed, quantization)
        network = LanguageNetwork(model, pad)
    network.quantization = quantization
    network.find_way()
    return network


class ScaledHead(nn.Module):
    """A head whose logits are multiplied, and then capped by cap * tanh(logits / cap); cap 0: not."""

    def __init__(self, head: Any, scale: float, cap: float) -> None:
        super().__init__()
        self.head, self.scale, self.cap, self.out_features = head, scale, cap, head.out_features

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        logits = self.head(states) * self.scale
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits


def head_of(model: Any) -> Any:
    """What makes logits of hidden states: the output layer, and what some families do to its logits."""
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    cap = float(getattr(config, "final_logit_softcapping", None) or 0.0)  # Gemma
    scale = float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
    scale /= float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
    return ScaledHead(head, scale, cap) if cap or scale != 1.0 else head


def writes(config: Any) -> bool:
    """Whether a configuration is that of a decoder or of an encoder-decoder."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as SEQ2SEQ,
    )

    if config.is_encoder_decoder:
        return config.model_type in SEQ2SEQ
    known = config.model_type in CAUSAL
    return known and (config.model_type not in MASKED or bool(getattr(config, "is_decoder", False)))


def still_attention(config: Any) -> None:
    """No dropout on attention weights: a tree's pieces could not draw it alike."""
    for name, value in list(vars(config).items()):
        if ("attn" in name or "attention" in name) and ("drop" in name) and isinstance(value, float | int):
            setattr(config, name, 0.0)


def _probe(vocabulary: int) -> list[Example]:
    """Three sequences, two of which share twenty tokens; random ids, all but the first learned."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randint(5, max(6, vocabulary), (n,), generator=generator) for n in (20, 7, 4, 9)]
    rows = [torch.cat([draw[0], draw[1]]), torch.cat([draw[0], draw[2]]), draw[3]]
    weights = [torch.ones(len(row)) for row in rows]
    for one in weights:
        one[0] = 0
    return [Example(row.numpy(), one.numpy()) for row, one in zip(rows, weights, strict=True)]
