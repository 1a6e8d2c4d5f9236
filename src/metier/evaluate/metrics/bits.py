"""How well a model foresees a text: bits of code length for each byte of it.

Purpose: perplexity counts tokens, and two models with different tokenizers have different ones; bytes are the same for
all, so any two models, and an n-gram model without any tokenizer, can be compared, in English and Chinese.
Trade-off: a Chinese character is three bytes, so figures of texts in different scripts are no measure of each other.
Not covered: whether what a model foresees well is true.
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.items import BITS, LIKELIHOODS, TEXT, Array, Items
from metier.evaluate.metrics.base import Weighted, metric, ratio


def sizes(items: Items) -> Array:
    """(n,) bytes of the gold texts."""
    return np.array([max(len(text.encode("utf-8", "surrogatepass")), 1) for text in items.gold], dtype=np.float64)


def rates(items: Items) -> Array:
    """(n,) bits for each byte of a text, as far as the model read it; 0 where it read nothing."""
    spent, paid = items.more[LIKELIHOODS], items.more["bytes"]
    return np.divide(spent, paid, out=np.zeros(len(items)), where=paid > 0)


def weighted(items: Items) -> Array:
    """(n,) rates weighted by the length of the texts: their mean is the figure where all texts were read whole."""
    size = sizes(items)
    return rates(items) * size / size.mean()


@metric("bits_per_byte", (BITS, TEXT), "lower", ("code length (bits per byte)", "编码长度（每字节比特数）"),
        (0.0, np.inf), per_item=weighted, needs=LIKELIHOODS)  # fmt: skip
def bits_per_byte(items: Items) -> Weighted:
    """All bits over all bytes that they pay for."""
    spent, paid = items.more[LIKELIHOODS], items.more["bytes"].astype(np.float64)
    return ratio(spent, paid)
