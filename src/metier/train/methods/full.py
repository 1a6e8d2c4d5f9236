"""Full fine-tuning: every weight moves; the whole model is saved in the standard layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metier.registry import register
from metier.train.bases import Base
from metier.train.config import TrainConfig
from metier.train.encoding import Encoded
from metier.train.network import Network, Shape, load

HEAD = "head.safetensors"
SMALL = 50_000_000  # parameters; smaller encoders bear, and need, larger steps


@register("method", "full")
class Full:
    """A method has these members: default epochs and batch_size, learning_rate, wrap, inputs, save, load.

    See `frozen.py` for one whose inputs are not windows."""

    epochs = 8.0
    batch_size = 64

    @staticmethod
    def learning_rate(parameters: int) -> float:
        """3e-4 for small encoders (measured on Banking77 with MiniLM), 3e-5 otherwise (BERT's paper: 2e-5 to 5e-5)."""
        return 3e-4 if parameters < SMALL else 3e-5

    @staticmethod
    def wrap(network: Network, config: TrainConfig, outputs: int) -> Any:
        """The module that is trained."""
        return network

    @staticmethod
    def inputs(network: Network, encoded: Encoded, limit: int, meter: Any) -> tuple[Sequence[Any], list[int]]:
        """What the module is fed: token windows and their lengths."""
        return encoded.windows, encoded.lengths()

    @staticmethod
    def save(module: Network, folder: Path) -> None:
        module.model.save_pretrained(folder)  # type: ignore[operator]
        save_head(module, folder)

    @staticmethod
    def load(folder: Path, base: Base | None, shape: Shape) -> Any:
        """The saved module, ready to predict; `base` is not needed, all weights are in the folder."""
        return load_head(load(Base("tuned", folder, "", "", "", ""), shape, 0), folder)


def save_head(module: Network, folder: Path) -> None:
    """The linear head over mean states; heads of the model's own class are saved with the model."""
    from safetensors.torch import save_file

    if module.classifier is not None:
        save_file({k: v.detach().contiguous() for k, v in module.classifier.state_dict().items()}, folder / HEAD)


def load_head(module: Network, folder: Path) -> Network:
    from safetensors.torch import load_file

    if module.classifier is not None:
        module.classifier.load_state_dict(load_file(folder / HEAD))
    return module
