"""The metrics, one file a family, found by name behind the door `metric`."""

from metier.evaluate.metrics import classify, score
from metier.evaluate.metrics.base import PRIMARY, Metric, for_kind, metric, value

__all__ = ["PRIMARY", "Metric", "classify", "for_kind", "metric", "score", "value"]
