"""Methods: which weights move, and how they are saved."""

from metier.train.methods import frozen, full, lora, qlora

__all__ = ["frozen", "full", "lora", "qlora"]
