"""A resumable state of the loop, written whole or not at all.

Purpose: after a kill -9 training goes on at the last saved step and ends with the weights of an undisturbed run: the
state holds weights, optimizer, schedule, position in the epoch, best weights so far and every process's random
generators.
The new file is written beside the old one, fsynced and renamed over it. Trade-off: one state is kept, not a history.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

FILE = "state.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the saved state by `state` (tensors, numbers, strings, lists, dicts)."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (FILE + ".new")
    with temporary.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / FILE)


def load(folder: Path) -> dict[str, Any] | None:
    """The saved state, or None when there is none."""
    path = folder / FILE
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None


def random_state() -> dict[str, Any]:
    """The states of torch's, NumPy's and Python's generators as tensors and plain values."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # type: ignore[misc]
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, list(internal), gauss],
    }


def restore_random(state: dict[str, Any]) -> None:
    """Set every generator to what `random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def seed_all(seed: int) -> None:
    """Every generator starts here."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
