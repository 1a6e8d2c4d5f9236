"""Tasks: what a model is asked to do. Each file says how to encode targets, lose, decode and monitor."""

from metier.train.tasks import chat, choose, classify, embed, extract, generate, prefer, pretrain, relate, score, tag
from metier.train.tasks.base import Decoded, Profile, Span, Task, profile

__all__ = [
    "Decoded", "Profile", "Span", "Task", "chat", "choose", "classify", "embed", "extract", "generate", "prefer",
    "pretrain", "profile", "relate", "score", "tag",
]  # fmt: skip
