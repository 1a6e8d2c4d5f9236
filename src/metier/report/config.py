"""What the recipe's `report` section may say."""

from __future__ import annotations

from typing import Literal

from metier.config import Section


class ReportConfig(Section):
    """How the report speaks."""

    language: Literal["en", "zh"] = "en"
    """The language the report opens in; the other one is in the same file, one click away."""
    title: str = ""
    """Heading; empty: the recipe's name."""
    show_texts: bool = True
    """Quote texts of cases. Switch off when the report leaves the house."""
