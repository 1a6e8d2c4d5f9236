"""Checks: what a tuned model does beyond its answers to the test set, each behind the door `check`.

Purpose: a check asks the models more (changed texts, other texts, planted secrets), stores what they said, and judges
later from what is stored alone, as the whole evaluation does. Its figures can be named in `evaluate.accept` as
`check.figure`, its sentences and tables stand in the report.
Not covered: the test set itself (../stage.py).
"""

from metier.evaluate.checks.base import Asked, Check, Figure, Findings, Table, Told

# Modules of the built-in checks; importing one registers it.
BUILTINS: tuple[str, ...] = ()

__all__ = ["BUILTINS", "Asked", "Check", "Figure", "Findings", "Table", "Told"]
