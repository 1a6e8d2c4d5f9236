"""What the recipe's `report` section may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metier.config import Section


class ReportConfig(Section):
    """How the report speaks."""

    language: Literal["en", "zh"] = "en"
    """The language the report opens in; the other one is in the same file, one click away."""
    title: str = ""
    """Heading; empty: the recipe's name."""
    provided: dict[str, str] = Field(default_factory=dict)
    """What only a person can say, for the sheets of the dossier: `intended_purpose: Sorting letters of customers`. The
    sheets name every field; what is not given stands there as "not provided"."""
    show_texts: bool = True
    """Quote texts of cases. Switch off when the report leaves the house."""
