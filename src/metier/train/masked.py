"""A base that reads, with the head that guesses hidden tokens: flat rows, and logits of the hidden places only.

Purpose: masked language modelling through the one loop. Rows are flattened as for every encoder (network.py), only the
hidden places reach the head, and that a chunk at a time (head_loss.py), so that logits of (tokens, vocabulary) never
exist at once. The weights are saved as `AutoModelForMaskedLM`, so that a later recipe takes the folder as its base.
A base without weights for the head (a sentence encoder) gets a new one over its own word embeddings; that is told.
Whether the head can be called on single states is not guessed: it must give the model's own logits; otherwise the model
runs whole, on padded rows.
Trade-off: the pooler of a BERT is not part of that class, and so is not saved.
Shapes: B inputs of one example each, E examples, P hidden places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from metier.errors import UserError
from metier.train import attention
from metier.train.bases import Base
from metier.train.head_loss import per_place
from metier.train.masking import Masked
from metier.train.network import AGREEMENT, Network


class MaskedNetwork(Network):
    """Losses in nats, float32: (E, 1), or all together (1, 1) in training where `summed` says so."""

    def __init__(self, model: Any, pad: int) -> None:
        super().__init__(model, pad, 1, "masked", "examples")
        self.summed = False
        self.own_head = False  # the head cannot be called on single states

    def forward(self, families: Sequence[Sequence[Masked]]) -> torch.Tensor:  # type: ignore[override]
        examples = [one for family in families for one in family]
        order = sorted(range(len(examples)), key=lambda index: len(examples[index]))  # neighbours are equally long
        rows = [examples[index] for index in order]
        places = np.flatnonzero(np.concatenate([one.weights for one in rows]))
        owner = np.repeat(order, [one.labelled for one in rows])
        device = next(self.parameters()).device
        target = torch.from_numpy(np.concatenate([one.original for one in rows])[places]).to(device)
        where = torch.from_numpy(places).to(device)
        ids = [one.ids.tolist() for one in rows]
        if self.own_head:
            losses = nn.functional.cross_entropy(self._own_logits(ids)[where].float(), target, reduction="none")
        else:
            losses = per_place(Head(self._plain()), self.hidden(ids)[0][where], target)
        if self.training and self.summed:
            return losses.sum()[None, None]
        of = torch.from_numpy(owner).to(device)
        return torch.zeros(len(examples), device=device).index_add(0, of, losses)[:, None]

    def _own_logits(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """(N, V) of all tokens, by the model's own forward."""
        inputs = self._pad(ids)
        return self._plain()(**inputs).logits[inputs["attention_mask"].bool()]  # type: ignore[no-any-return]

    def _probe(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return self.hidden(rows)[0].float()

    def find_way(self) -> None:
        """Also whether the head gives the model's own logits when it is called on single states."""
        super().find_way()
        was_training = self.training
        self.eval()
        probe = [[5, 6, 7, 8], [6, 5]]
        with torch.no_grad():
            flat, self.offset = self.offset, None
            if flat is not None:
                self._plain().set_attn_implementation("sdpa" if self._plain()._supports_sdpa else "eager")
            expected = self._own_logits(probe)
            try:
                found = Head(self._plain())(self.hidden(probe)[0])
                self.own_head = not torch.allclose(found, expected, atol=AGREEMENT, rtol=AGREEMENT)
            except (RuntimeError, TypeError, ValueError, AttributeError):
                self.own_head = True
            if flat is not None and not self.own_head:
                self._plain().set_attn_implementation(attention.NAME)
                self.offset = flat
        self.train(was_training)

    def end_with(self, stops: Sequence[int]) -> None:
        """Nothing: it writes no answers."""


class Head(nn.Module):
    """States (P, C) -> logits (P, V): the parts of an AutoModelForMaskedLM that stand behind its backbone."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.out_features = int(model.config.vocab_size)
        self.parts = [model]  # in a list: the weights are the model's

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """ValueError for a head of another build."""
        model = self.parts[0]
        for name in ("cls", "lm_head"):  # BERT, DeBERTa, ALBERT-like; RoBERTa, XLM-R, CamemBERT
            if hasattr(model, name):
                return getattr(model, name)(states)  # type: ignore[no-any-return]
        if hasattr(model, "generator_predictions"):  # ELECTRA
            return model.generator_lm_head(model.generator_predictions(states))  # type: ignore[no-any-return]
        if hasattr(model, "vocab_projector"):  # DistilBERT
            return model.vocab_projector(  # type: ignore[no-any-return]
                model.vocab_layer_norm(model.activation(model.vocab_transform(states)))
            )
        if hasattr(model, "head") and hasattr(model, "decoder"):  # ModernBERT
            return model.decoder(model.head(states))  # type: ignore[no-any-return]
        raise ValueError(f"unknown head: {type(model).__name__}")


def reads(config: Any) -> bool:
    """Whether a configuration is that of an encoder that guesses hidden tokens."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as KNOWN

    return config.model_type in KNOWN and not config.is_encoder_decoder


def load(base: Base, dropout: float | None, seed: int) -> MaskedNetwork:
    """The base with the head of its AutoModelForMaskedLM; what it has no weights for is drawn from the seed."""
    import transformers

    from metier.train.network import load_tokenizer, loaded, set_dropout

    attention.install()
    config = loaded(transformers.AutoConfig, base, "masked language model")
    if not reads(config):
        raise UserError(
            f"the base '{base.name}' ({config.model_type}) has no head that guesses hidden tokens", "train.base_model",
            "choose an encoder (BERT, RoBERTa, ELECTRA, DeBERTa, ModernBERT, ...)",
        )  # fmt: skip
    set_dropout(config, dropout)
    pad = load_tokenizer(base).pad_token_id
    torch.manual_seed(seed)
    settings = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    model, report = loaded(transformers.AutoModelForMaskedLM, base, "masked language model", **settings)
    network = MaskedNetwork(model, pad)
    network.drawn = tuple(sorted({key.rpartition(".")[0] for key in report["missing_keys"]}))
    network.find_way()
    return network
