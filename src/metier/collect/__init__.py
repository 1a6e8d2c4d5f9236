"""Collect: documents from files and other places become one table.

The public function here is for programs that hold their data in Python; it is imported when it is first asked for, so
that reading a recipe stays quick.
"""

from __future__ import annotations

from typing import Any

__all__ = ["from_python"]


def __getattr__(name: str) -> Any:
    if name == "from_python":
        from metier.collect.places.python import from_python

        return from_python
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
