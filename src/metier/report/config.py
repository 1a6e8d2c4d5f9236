"""What the recipe's `report` section may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from metier.config import Section


class ReportConfig(Section):
    """How the report speaks."""

    language: Literal["en", "zh"] = "en"
    """The language the report opens in; the other one is in the same file, one click away."""
    machine_price_per_hour: float | None = Field(default=None, ge=0)
    """What an hour of the machine costs on which the model will answer, if it is one like that of this run; with the
    measured time it gives the price of 1,000 requests. Empty: no price is told, and none is guessed."""
    currency: str = Field(default="", max_length=12)
    """Of that price, as it is to stand in the report: EUR, CNY."""
    title: str = ""
    """Heading; empty: the recipe's name."""
    provided: dict[str, str] = Field(default_factory=dict)
    """What only a person can say, for the sheets of the dossier: `intended_purpose: Sorting letters of customers`. The
    sheets name every field; what is not given stands there as "not provided"."""
    show_texts: bool = True
    """Quote texts of cases. Switch off when the report leaves the house."""

    @model_validator(mode="after")
    def _price_in_a_currency(self) -> ReportConfig:
        if self.machine_price_per_hour is not None and not self.currency.strip():
            raise ValueError("machine_price_per_hour needs a currency: EUR, CNY, ...")
        return self
