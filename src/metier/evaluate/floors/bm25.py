"""The floor of retrieval: BM25, which counts words that query and passage share. It learns nothing."""

from __future__ import annotations

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import register
from metier.train.bm25 import Index, best
from metier.train.config import TaskConfig

KEPT = 100  # passages of a ranking that are kept: the largest k of any metric


@register("floor", "bm25")
def bm25(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Passages that share a word with the query, by BM25; equal scores in the order of the corpus."""
    if train.asked_pairs is None or not train.corpus:
        raise UserError("the floor 'bm25' ranks passages for queries, which this task has none of", "evaluate.floors",
                        "use it with the task embed")  # fmt: skip
    blocks = Index(train.corpus).scores(train.asked_pairs)
    ranked = [found.tolist() for block in blocks for found in best(block, KEPT, above=0.0)]
    return FloorPrediction(ranked=ranked, how="BM25 over words (pairs of characters where the script is Chinese)")
