"""The general texts, questions and instructions that come with the package (general.yaml)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")


@cache
def content() -> dict[str, Any]:
    """The whole file."""
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("general.yaml").read_text(encoding="utf-8")))


def paragraphs(language: str) -> list[tuple[str, str]]:
    """(topic, text) of every paragraph in English ("en") or Chinese ("zh")."""
    return [(topic, text) for topic, texts in content()["topics"][language].items() for text in texts]
