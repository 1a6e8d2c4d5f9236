"""The metrics, one file a family, found by name behind the door `metric`."""

from metier.evaluate.metrics import answers, bits, choice, classify, numbers, preference, ranking, score, spans, texts
from metier.evaluate.metrics.base import Metric, for_kind, metric, value

__all__ = [
    "Metric",
    "answers",
    "bits",
    "choice",
    "classify",
    "for_kind",
    "metric",
    "numbers",
    "preference",
    "ranking",
    "score",
    "spans",
    "texts",
    "value",
]
