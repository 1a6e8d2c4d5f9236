"""The metrics, one file a family, found by name behind the door `metric`."""

from metier.evaluate.metrics import answers, classify, score, spans
from metier.evaluate.metrics.base import Metric, for_kind, metric, value

__all__ = ["Metric", "answers", "classify", "for_kind", "metric", "score", "spans", "value"]
