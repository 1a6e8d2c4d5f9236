"""How well a model foresees a text: bits of code length for each byte of it.

Purpose: perplexity counts tokens, and two models with different tokenizers have different ones; bytes are the same for
all, so any two models, and an n-gram model without any tokenizer, can be compared, in English and Chinese.
Trade-off: a Chinese character is three bytes, so figures of texts in different scripts are no measure of each other.
Of a base that reads (an encoder) only the hidden tokens are foreseen, from both sides: the bits and bytes are theirs.
Not covered: whether what a model foresees well is true.
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.items import BITS, GENERAL, HIDDEN, LIKELIHOODS, TEXT, Array, Items
from metier.evaluate.metrics.base import Weighted, metric, ratio


def sizes(items: Items) -> Array:
    """(n,) bytes of the gold texts."""
    return np.array([max(len(text.encode("utf-8", "surrogatepass")), 1) for text in items.gold], dtype=np.float64)


def rates(items: Items) -> Array:
    """(n,) bits for each byte of a text, as far as the model read it; 0 where it read nothing."""
    spent, paid = items.more[LIKELIHOODS], items.more["bytes"]
    return np.divide(spent, paid, out=np.zeros(len(items)), where=paid > 0)


def part(items: Items, general: bool) -> Array:
    """(n,) of 1.0 for texts of the field, or for general ones, and of 0.0 for the others."""
    of_general = items.more.get(GENERAL)
    if of_general is None:
        return np.full(len(items), 0.0 if general else 1.0)
    return (of_general == general).astype(np.float64)


def _weighted(items: Items, general: bool) -> Array:
    """(n,) rates weighted by the length of the texts: their mean is the figure where all texts were read whole."""
    size = sizes(items) * part(items, general)
    return rates(items) * size / max(float(size.mean()), 1e-12)


def _over(items: Items, amount: Array, general: bool) -> Weighted:
    """All bits of a part over all that they pay for."""
    mine = part(items, general)
    spent, paid = items.more[LIKELIHOODS] * mine, amount.astype(np.float64) * mine
    return ratio(spent, paid)


def _count(items: Items) -> int:
    return int(part(items, False).sum())


@metric("bits_per_byte", (BITS, TEXT), "lower", ("code length (bits per byte)", "编码长度（每字节比特数）"),
        (0.0, np.inf), per_item=lambda items: _weighted(items, False), needs=LIKELIHOODS, count=_count)  # fmt: skip
def bits_per_byte(items: Items) -> Weighted:
    """All bits over all bytes that they pay for, of the texts of the field."""
    return _over(items, items.more["bytes"], False)


@metric("general_bits_per_byte", (BITS,), "lower",
        ("code length of general text (bits per byte)", "通用文本的编码长度（每字节比特数）"), (0.0, np.inf),
        per_item=lambda items: _weighted(items, True), needs=GENERAL,
        count=lambda items: int(part(items, True).sum()))  # fmt: skip
def general_bits_per_byte(items: Items) -> Weighted:
    """Likewise of general text that was held out (prepare.mix.general_test): what the base forgets shows here."""
    return _over(items, items.more["bytes"], True)


@metric("bits_per_masked_token", (BITS,), "lower", ("bits per masked token", "每个被遮词元的比特数"), (0.0, np.inf),
        needs=HIDDEN, count=_count)  # fmt: skip
def bits_per_masked_token(items: Items) -> Weighted:
    """All bits over all hidden tokens, of the texts of the field."""
    return _over(items, items.more[HIDDEN], False)


@metric("pseudo_perplexity", (BITS,), "lower", ("pseudo-perplexity", "伪困惑度"), (1.0, np.inf), needs=HIDDEN,
        count=_count)  # fmt: skip
def pseudo_perplexity(items: Items) -> Weighted:
    """Two to the bits of a hidden token: among how many equally likely tokens the model chooses."""
    over = _over(items, items.more[HIDDEN], False)
    return lambda weights: np.exp2(over(weights))
