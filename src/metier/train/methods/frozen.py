"""Frozen base: embeddings are computed once, then only a linear head is trained on them.

Purpose: minutes become seconds, and with few examples a class it often beats full fine-tuning. The embedding of a
text is the mean of its last hidden states (over all windows), scaled to length 1, as sentence encoders are trained; a
task that asks about parts of a text gets one embedding for each part, the mean over its tokens.
Trade-off: the base itself learns nothing; the embeddings of all parts of all texts stay in memory (4 bytes times the
width for each). Saved are the head alone and the identity of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metier.errors import UserError
from metier.registry import register
from metier.train.bases import Base
from metier.train.batching import inference_batches
from metier.train.config import TrainConfig
from metier.train.encoding import Encoded
from metier.train.heads import mean_states
from metier.train.methods.full import HEAD
from metier.train.network import VECTORS, Network, Shape, load

SCALE = 10.0  # embeddings of length 1 times this, so that the head's usual learning rates reach confident logits
STEP = 0.1  # share of the learned matrix in the map of vectors


class FrozenHead(nn.Module):
    """Embeddings of length 1, (r, C) for each example -> logits (R, outputs)."""

    def __init__(self, network: Network, width: int, outputs: int) -> None:
        super().__init__()
        self.base = [network]  # in a list: its weights are not this module's, and are neither trained nor saved
        self.classifier = nn.Linear(width, outputs)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        features = torch.cat(list(rows)).to(self.classifier.weight.device)
        with torch.autocast(features.device.type, enabled=False):
            return self.classifier(features * SCALE)


class FrozenMap(nn.Module):
    """Vectors of length 1, (r, C) for each example -> vectors (R, C) of length 1, through one linear map.

    The map is the identity plus what is learned, so that training starts from the base as it is; what is learned is
    held at 1 / STEP, so that the method's usual learning rate moves the map by a tenth of it.
    """

    def __init__(self, network: Network, width: int) -> None:
        super().__init__()
        self.base = [network]  # as in FrozenHead
        self.classifier = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.classifier.weight)

    @property
    def weight(self) -> torch.Tensor:
        """The map (C, C) itself."""
        own = self.classifier.weight
        return torch.eye(len(own), device=own.device) + STEP * own

    def forward(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        features = torch.cat(list(rows)).to(self.classifier.weight.device)
        with torch.autocast(features.device.type, enabled=False):
            return nn.functional.normalize(features + STEP * self.classifier(features), dim=1)


@torch.no_grad()
def embed(network: Network, encoded: Encoded, limit: int, meter: Any = None) -> torch.Tensor:
    """Embeddings (n, C) float32 of length 1: the mean of the last hidden states over all windows of a text."""
    network.eval()
    out: list[torch.Tensor | None] = [None] * len(encoded)
    for batch in inference_batches(encoded.lengths(), limit):
        windows = [(text, place) for text in batch for place in range(len(encoded.items[text].windows))]
        windows.sort(key=lambda item: len(encoded.items[item[0]].windows[item[1]]))
        types = [encoded.items[text].types[place] for text, place in windows if encoded.items[text].types]
        states, lengths = network.hidden([encoded.items[text].windows[place] for text, place in windows], types)
        weighted = mean_states(states, lengths) * torch.tensor(lengths, device=states.device)[:, None]
        for (text, _), total in zip(windows, weighted.cpu(), strict=True):
            previous = out[text]
            out[text] = total if previous is None else previous + total
        if meter is not None:
            meter.advance(len(batch))
    return nn.functional.normalize(torch.stack([row for row in out if row is not None]), dim=1)


@torch.no_grad()
def embed_parts(network: Network, encoded: Encoded, limit: int, meter: Any = None) -> list[torch.Tensor]:
    """For each text the embeddings (r, C) float32 of its r parts, each of length 1."""
    network.eval()
    counts, out = encoded.counts("parts"), [torch.zeros(0)] * len(encoded)
    for batch in inference_batches(encoded.lengths(), limit):
        states = nn.functional.normalize(network.part_states([encoded.items[i] for i in batch]), dim=1).cpu()
        for index, piece in zip(batch, states.split([counts[i] for i in batch]), strict=True):
            out[index] = piece
        if meter is not None:
            meter.advance(len(batch))
    return out


@torch.no_grad()
def embed_windows(network: Network, encoded: Encoded, limit: int, meter: Any = None) -> list[torch.Tensor]:
    """For each text the vectors (w, C) float32 of its w windows, each of length 1, pooled as the network says."""
    network.eval()
    out = [torch.zeros(0)] * len(encoded)
    for batch in inference_batches(encoded.lengths(), limit):
        items = [encoded.items[i] for i in batch]
        pieces = network(items).cpu().split([len(item.windows) for item in items])
        for index, piece in zip(batch, pieces, strict=True):
            out[index] = piece
        if meter is not None:
            meter.advance(len(batch))
    return out


@register("method", "frozen")
class Frozen:
    """Inputs are embeddings, computed once; members as in `full`."""

    epochs = 60.0
    batch_size = 64
    needs_base = True

    @staticmethod
    def learning_rate(parameters: int, batch_size: int) -> float:
        """For the head alone, on embeddings of length SCALE."""
        return 3e-3

    @staticmethod
    def wrap(network: Network, config: TrainConfig, outputs: int) -> Any:
        """The head alone; the base is kept at its side."""
        if network.pooling in ("language", "masked"):
            raise UserError(
                "`frozen` trains a new head only; a model that writes, or goes on reading, has none to train",
                "train.method",
                "set it to lora (few weights move) or full",
            )  # fmt: skip
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        if network.pooling in VECTORS:
            return FrozenMap(network, network.width)
        return FrozenHead(network, network.features, outputs)

    @staticmethod
    def inputs(module: FrozenHead, encoded: Encoded, limit: int, meter: Any) -> tuple[Sequence[Any], list[int]]:
        network = module.base[0]
        if network.pooling in VECTORS:
            features = embed_windows(network, encoded, limit, meter)
        elif network.rows == "parts" or network.pooling == "spans":
            features = embed_parts(network, encoded, limit, meter)
            if network.pooling == "spans":
                features = [rows.reshape(1, -1) for rows in features]
        else:
            features = list(embed(network, encoded, limit, meter)[:, None])
        return features, [max(1, len(rows)) for rows in features]

    @staticmethod
    def counts(encoded: Encoded, task: Any) -> list[int]:
        """One row a text, or one a part: the windows of a text share its embedding unless they are texts."""
        return encoded.counts(task.rows if task.rows == "parts" or getattr(task, "joint", False) else "texts")

    @staticmethod
    def save(module: FrozenHead, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder / HEAD)

    @staticmethod
    def load(folder: Path, base: Base | None, shape: Shape) -> Any:
        from safetensors.torch import load_file

        assert base is not None
        module = Frozen.wrap(load(base, shape, 0), TrainConfig(), shape.outputs)
        module.load_state_dict(load_file(folder / HEAD))
        return module
