"""Multiple choice: by the letter that is written, whatever the order of the options, and by the options' likelihoods.

Purpose: a model that likes the letter C is not right because the data likes it too: each question is asked in every
rotation of its options, and `choice_accuracy` is the mean over them (a fixed letter then has exactly one k-th).
`choice_consistent` wants all of them. Likelihood needs no letter: the words of which option does the model find
likeliest as the answer to the question alone? By all of its bits short options win, by bits of a byte long ones do;
both are told.
Not covered: which options attract (the cases show them).
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.choosing import ALL, BY_BYTE, BY_SUM, RIGHT, UNREAD
from metier.evaluate.items import CHOICE, Array, Items, right
from metier.evaluate.metrics.base import Weighted, mean_of, metric

KIND = (CHOICE,)


def published(items: Items) -> Array:
    """(n,) 1 where the answer to the options in the order of the data is right."""
    return right(items).astype(np.float64)


@metric("choice_accuracy", KIND, "higher", ("accuracy over all orders", "各种选项顺序下的准确率"), (0.0, 1.0),
        needs=RIGHT, per_item=lambda items: items.more[RIGHT])  # fmt: skip
def choice_accuracy(items: Items) -> Weighted:
    """Mean over the questions of the share of rotations whose answer names the right option."""
    return mean_of(items.more[RIGHT])


@metric("choice_consistent", KIND, "higher", ("right in every order", "任何顺序下都答对的比例"), (0.0, 1.0),
        needs=RIGHT, per_item=lambda items: items.more[ALL], proportion=True)  # fmt: skip
def choice_consistent(items: Items) -> Weighted:
    """Share of the questions that are answered rightly in all rotations."""
    return mean_of(items.more[ALL])


@metric("choice_published", KIND, "higher", ("accuracy in the data's order", "原有选项顺序下的准确率"), (0.0, 1.0),
        needs=RIGHT, per_item=published, proportion=True)  # fmt: skip
def choice_published(items: Items) -> Weighted:
    """Share of the questions that are answered rightly in the order of the data."""
    return mean_of(published(items))


@metric("choice_unparsable", KIND, "lower", ("answers that name no option", "未指明选项的回答比例"), (0.0, 1.0),
        needs=RIGHT, per_item=lambda items: items.more[UNREAD])  # fmt: skip
def choice_unparsable(items: Items) -> Weighted:
    """Share of the answers, over all rotations, that name no option or several; they count as wrong."""
    return mean_of(items.more[UNREAD])


@metric("choice_likelihood", KIND, "higher", ("accuracy by likelihood", "按似然的准确率"), (0.0, 1.0), needs=BY_SUM,
        per_item=lambda items: items.more[BY_SUM])  # fmt: skip
def choice_likelihood(items: Items) -> Weighted:
    """Share of the questions whose right option has the highest log-likelihood, the sum over its tokens."""
    return mean_of(items.more[BY_SUM])


@metric("choice_likelihood_per_byte", KIND, "higher", ("accuracy by likelihood a byte", "按每字节似然的准确率"),
        (0.0, 1.0), needs=BY_BYTE, per_item=lambda items: items.more[BY_BYTE])  # fmt: skip
def choice_likelihood_per_byte(items: Items) -> Weighted:
    """The same of the log-likelihood divided by the option's bytes of UTF-8."""
    return mean_of(items.more[BY_BYTE])
