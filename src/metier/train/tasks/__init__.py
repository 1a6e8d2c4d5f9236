"""Tasks: what a model is asked to do. Each file says how to encode targets, lose, decode and monitor."""

from metier.train.tasks import classify, score
from metier.train.tasks.base import Decoded, Task

__all__ = ["Decoded", "Task", "classify", "score"]
