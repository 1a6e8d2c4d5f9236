"""A base's double: its configuration and tokenizer with random weights, whole or with few layers.

Purpose: memory and time of a step depend on the shapes of the weights and not on what they are, so that a plan needs
neither the weights nor a base of full depth: every layer costs the same.
Not covered: bases whose layers differ in size (none that Transformers loads by a plain configuration).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from metier.train import bases

SMALL = 60_000_000  # parameters; up to here the whole base is built
DEPTHS = (2, 4)  # layers of the two shortened bases otherwise; even, as some families alternate two kinds of layers
LAYERS = ("num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")


def configuration(base: bases.Base) -> Any:
    """The base's configuration; code of the model's own is never run."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)


def parameters_of(config: Any) -> int:
    """Weights of a backbone, counted on PyTorch's meta device: nothing is allocated."""
    from transformers import AutoModel

    with torch.device("meta"):
        return sum(p.numel() for p in AutoModel.from_config(config).parameters())


def stand_in(base: bases.Base, depth: int | None, folder: Path, seed: int) -> None:
    """Write a base with the configuration and tokenizer of another, random weights, and `depth` layers (None: all)."""
    from transformers import AutoModel

    for pattern in bases.MEANING:
        for file in base.path.glob(pattern):
            target = folder / file.relative_to(base.path)
            if not file.name.endswith(".index.json"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    config = configuration(base)
    if depth is not None:
        for name in LAYERS:
            if isinstance(value := getattr(config, name, None), int):
                setattr(config, name, min(value, depth))
        if isinstance(kinds := getattr(config, "layer_types", None), list):
            config.layer_types = kinds[:depth]
    torch.manual_seed(seed)
    config.dtype = torch.float32
    AutoModel.from_config(config).save_pretrained(folder)
