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
    """A method has these members: default epochs and batch_size, learning_rate, wrap, inputs, counts, save, load, and
    whether what it saves `needs_base` to be loaded. One that saves an adapter also has `merge`; see `lora.py`.

    See `frozen.py` for one whose inputs are not windows."""

    epochs = 8.0
    batch_size = 64
    needs_base = False

    @staticmethod
    def learning_rate(parameters: int, batch_size: int) -> float:
        """3e-4 at 64 examples a step for small encoders, 3e-5 otherwise (BERT's paper: 2e-5 to 5e-5 at 16 to 32).

        Smaller batches of small encoders take smaller steps: 1e-4 at 16. Measured with MiniLM on Banking77 (10,000
        examples) and on the embedded bank messages (700), between the usual square-root and linear rules.
        """
        return 3e-4 * (min(batch_size, 64) / 64) ** 0.8 if parameters < SMALL else 3e-5

    @staticmethod
    def wrap(network: Network, config: TrainConfig, outputs: int) -> Any:
        """The module that is trained."""
        return network

    @staticmethod
    def inputs(network: Network, encoded: Encoded, limit: int, meter: Any) -> tuple[Sequence[Any], list[int]]:
        """What the module is fed: items and their lengths in tokens."""
        return encoded.items, encoded.lengths()

    @staticmethod
    def counts(encoded: Encoded, task: Any) -> list[int]:
        """Rows of logits that each text will give."""
        return encoded.counts(task.rows)

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
    """Put back what `save_head` wrote; returns `module`."""
    from safetensors.torch import load_file

    if module.classifier is not None:
        module.classifier.load_state_dict(load_file(folder / HEAD))
    return module
