"""The four tasks whose answers are texts, as the other stages know them: by their profiles."""

from __future__ import annotations

from typing import Any

import pytest

from metier import registry
from metier.train.tasks.base import Profile

PROFILES = {
    "generate": Profile("answer", "text", "rouge_l", ("lead", "nearest"), ("rouge_l > lead", "rouge_l > nearest")),
    "chat": Profile("answer", "text", "bits_per_byte", ("nearest",), ("bits_per_byte < base",), conversation=True),
    "pretrain": Profile("text", "bits", "bits_per_byte", ("ngram",), ("bits_per_byte < base",)),
    "prefer": Profile("chosen", "preference", "preference_accuracy", ("longer",), ("preference_accuracy > longer",)),
}


def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for those of the tasks that are not there."""
    there = registry.names("task")
    for name, profile in PROFILES.items():
        if name not in there:
            one: Any = type(name, (), {"profile": staticmethod(lambda config, profile=profile: profile)})
            monkeypatch.setitem(registry._entries["task"], name, one)
