"""What answering costs: seconds, tokens, memory and energy while a model answers a list of requests.

Purpose: the evaluation asks the whole test split anyway, so what a request takes is measured there. Who answers says
when the last answer is there: what is measured afterwards for the evaluation's sake is no part of it.
Trade-off: requests are asked in batches, which is how a busy server works; one alone takes longer.
Not covered: what a server, its network and its queue add.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from metier.train import memory
from metier.train.energy import Meter, graphics


@dataclass
class Spending:
    """Counts from `begin` to the first `end`. device: as torch names its type. country: see energy.py."""

    device: str
    country: str = ""
    read: int | None = None  # tokens
    written: int | None = None  # tokens
    seconds: float | None = None
    peak_mb: float | None = None
    energy: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """The first request is about to be answered."""
        self._meter = Meter(graphics(self.device), self.country)
        self._counts = memory.forget_peak()
        self._start = time.monotonic()

    def end(self) -> None:
        """The last answer is there."""
        if self.seconds is None:
            self.seconds = time.monotonic() - self._start
            self.peak_mb = memory.peak_mb() if self._counts else None
            self.energy = self._meter.stop()

    def facts(self, requests: int) -> dict[str, Any]:
        """Plain values for so many requests; ends the counting if nobody has."""
        self.end()
        return {
            "requests": requests, "seconds": round(self.seconds or 0.0, 3), "read": self.read, "written": self.written,
            "peak_memory_mb": self.peak_mb, "device": self.device, "energy": self.energy,
        }  # fmt: skip
