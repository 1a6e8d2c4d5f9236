"""The metrics, one file a family, found by name behind the door `metric`."""

from metier.evaluate.metrics import classify, ranking, score, spans
from metier.evaluate.metrics.base import Metric, for_kind, metric, value

__all__ = ["Metric", "classify", "for_kind", "metric", "ranking", "score", "spans", "value"]
