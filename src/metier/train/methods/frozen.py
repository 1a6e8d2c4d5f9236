"""Frozen base: embeddings are computed once, then only a linear head is trained on them.

Purpose: minutes become seconds, and with few examples a class it often beats full fine-tuning. The embedding of a
text is the mean of its last hidden states (over all windows), scaled to length 1, as sentence encoders are trained.
Trade-off: the base itself learns nothing. Saved are the head alone and the identity of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metier.registry import register
from metier.train.bases import Base
from metier.train.batching import inference_batches
from metier.train.config import TrainConfig
from metier.train.encoding import Encoded
from metier.train.methods.full import HEAD
from metier.train.network import Network, Shape, load, mean_states

SCALE = 10.0  # embeddings of length 1 times this, so that the head's usual learning rates reach confident logits


class FrozenHead(nn.Module):
    """Embeddings (B, C) of length 1 -> logits (B, outputs)."""

    def __init__(self, network: Network, width: int, outputs: int) -> None:
        super().__init__()
        self.base = [network]  # in a list: its weights are not this module's, and are neither trained nor saved
        self.classifier = nn.Linear(width, outputs)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        features = torch.stack(list(rows)).to(self.classifier.weight.device)
        with torch.autocast(features.device.type, enabled=False):
            return self.classifier(features * SCALE)


@torch.no_grad()
def embed(network: Network, encoded: Encoded, limit: int, meter: Any = None) -> torch.Tensor:
    """Embeddings (n, C) float32 of length 1: the mean of the last hidden states over all windows of a text."""
    network.eval()
    out: list[torch.Tensor | None] = [None] * len(encoded)
    for batch in inference_batches(encoded.lengths(), limit):
        windows = [(text, window) for text in batch for window in encoded.windows[text]]
        windows.sort(key=lambda item: len(item[1]))
        states, lengths = network.hidden([window for _, window in windows])
        weighted = mean_states(states, lengths) * torch.tensor(lengths, device=states.device)[:, None]
        for (text, _), total in zip(windows, weighted.cpu(), strict=True):
            previous = out[text]
            out[text] = total if previous is None else previous + total
        if meter is not None:
            meter.advance(len(batch))
    return nn.functional.normalize(torch.stack([row for row in out if row is not None]), dim=1)


@register("method", "frozen")
class Frozen:
    """Inputs are embeddings, computed once; members as in `full`."""

    epochs = 60.0
    batch_size = 64

    @staticmethod
    def learning_rate(parameters: int, batch_size: int) -> float:
        """For the head alone, on embeddings of length SCALE."""
        return 3e-3

    @staticmethod
    def wrap(network: Network, config: TrainConfig, outputs: int) -> Any:
        """The head alone; the base is kept at its side."""
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        return FrozenHead(network, network.model.config.get_text_config().hidden_size, outputs)  # type: ignore[operator,union-attr]

    @staticmethod
    def inputs(module: FrozenHead, encoded: Encoded, limit: int, meter: Any) -> tuple[Sequence[Any], list[int]]:
        features = embed(module.base[0], encoded, limit, meter)
        return list(features), [1] * len(features)

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
