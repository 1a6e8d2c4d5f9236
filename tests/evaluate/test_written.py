"""Metrics and floors of written answers, of texts as they are foreseen, and of preferences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier import tables
from metier.errors import UserError
from metier.evaluate.floors.base import FloorData
from metier.evaluate.floors.ngram import EDGE, _find, fit, ngram
from metier.evaluate.floors.written import beginning, closest, lead, longer, nearest
from metier.evaluate.items import Items, objects, stack
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.metrics.texts import character_f, overlap
from metier.evaluate.written import asked, items
from metier.registry import lookup
from metier.train.config import TaskConfig

ENGLISH = [
    ("The cat sat on the mat.", "The cat is on the mat."),
    ("Send the invoice to the bank before Friday!", "Before Friday, the invoice goes to the bank."),
    ("no", "Nothing at all."),
    ("A completely different sentence, of some length.", "zzz"),
    ("two  spaces\tand a tab", "two spaces and a tab"),
]
TEXTS = st.text(st.sampled_from("ab3.5 ，。贷款利率\n"), max_size=20)


def texts(pairs: list[tuple[str, str]], **more: Any) -> Items:
    answers = objects([answer for answer, _ in pairs])
    return Items("text", objects([gold for _, gold in pairs]), answers, more={"texts": answers, **more})


def figure(name: str, one: Items) -> float:
    found = value(lookup("metric", name), one)
    assert found is not None
    return found


# -- metrics -----------------------------------------------------------------------------------------------------------


@given(st.lists(TEXTS.filter(str.strip), min_size=1, max_size=4))
def test_an_answer_that_is_the_right_one_has_one_everywhere(gold: list[str]) -> None:
    one = texts([(text, text) for text in gold])
    assert {name: figure(name, one) for name in ("rouge_l", "chrf", "token_f1", "exact_match")} == pytest.approx(
        dict.fromkeys(("rouge_l", "chrf", "token_f1", "exact_match"), 1.0)
    )


@given(TEXTS, TEXTS)
def test_figures_of_texts_lie_between_0_and_1(answer: str, gold: str) -> None:
    one = texts([(answer, gold)], finished=np.array([True]))
    for metric in for_kind("text"):
        found = value(metric, one)
        assert found is None or 0 <= found <= 1 + 1e-12, metric.name


def test_chinese_is_compared_character_by_character() -> None:
    alike = "贷款利率为3.5%", "借款人违约率3.5%"
    assert overlap(*alike) == pytest.approx(2 * 3 / (6 + 7))  # 款, 率, 3.5
    assert 0 < figure("chrf", texts([alike])) < 0.5
    assert overlap("合同自签字之日起生效", "合同自签字之日起生效。") == 1.0
    assert overlap("贷款", "存款") == 0.5 and overlap("有效", "无效") == 0.5
    assert overlap("Fee ３．５％", "fee 3.5%") == 1.0  # width and case say nothing


def test_rouge_l_counts_words_in_their_order() -> None:
    assert overlap("the cat sat", "the cat sat") == 1.0
    assert overlap("sat cat the", "the cat sat") == pytest.approx(1 / 3)
    assert overlap("", "the") == overlap("the", "") == 0.0 and overlap("", "") == 1.0


def test_chrf_is_that_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu.metrics").CHRF()
    answers, gold = [answer for answer, _ in ENGLISH], [right for _, right in ENGLISH]
    assert figure("chrf", texts(ENGLISH)) == pytest.approx(sacrebleu.corpus_score(answers, [gold]).score / 100)
    own = [sacrebleu.sentence_score(answer, [right]).score / 100 for answer, right in ENGLISH]
    assert character_f(texts(ENGLISH)) == pytest.approx(own)


@pytest.mark.parametrize("name", ["rouge_l", "chrf", "token_f1", "exact_match", "distinct_2", "empty", "bits_per_byte"])
def test_weights_are_multiplicities(name: str) -> None:
    pairs = [*ENGLISH, ("", "no answer"), ("round and round and round", "round")]
    n = len(pairs)
    more = {"bits": np.arange(n) + 5.0, "bytes": np.array([len(gold.encode()) for _, gold in pairs], dtype=float)}
    weights = np.random.default_rng(0).integers(0, 4, n)
    over = lookup("metric", name).over(texts(pairs, **more))(weights[None].astype(float))[0]
    drawn = np.repeat(np.arange(n), weights)
    again = texts([pairs[i] for i in drawn], bits=more["bits"][drawn], bytes=more["bytes"][drawn])
    assert over == pytest.approx(figure(name, again))


def test_answers_that_are_none() -> None:
    one = texts(
        [("", "a b"), (" \n", "a b"), ("a a a a", "a b"), ("word", "a b")], finished=np.array([1, 1, 0, 1], bool)
    )
    assert figure("empty", one) == 0.5 and figure("finished", one) == 0.75
    assert figure("distinct_2", one) == pytest.approx((0 + 0 + 1 / 3 + 1) / 4)


def test_a_model_lacks_the_metrics_of_what_it_does_not_give() -> None:
    one = texts(ENGLISH)
    assert value(lookup("metric", "bits_per_byte"), one) is None and value(lookup("metric", "finished"), one) is None
    silent = Items("text", one.gold, objects([""] * len(one)), more={"bits": np.ones(5), "bytes": np.ones(5)})
    assert value(lookup("metric", "rouge_l"), silent) is None and figure("bits_per_byte", silent) == 1.0


def test_bits_per_byte_is_of_all_bytes() -> None:
    one = Items("bits", objects(["ab", "合同"]), np.array([8.0, 8.0]),
                more={"bits": np.array([8.0, 8.0]), "bytes": np.array([2.0, 6.0])})  # fmt: skip
    assert figure("bits_per_byte", one) == 2.0
    metric = lookup("metric", "bits_per_byte")
    assert metric.better == "lower" and float(np.mean(metric.per_item(one))) == pytest.approx(2.0)
    assert len(stack(one, one).more["bits"]) == 4


def test_preferences_with_and_without_length() -> None:
    gold = [("long and good", "bad"), ("four", "five"), ("12345678901", "1234567890"), ("x", "a lot of words")]
    one = Items("preference", objects(gold), np.array([0, 1, 1, 1], bool), more={
        "raw_margins": np.array([-3.0, 1.0, 2.0, 0.0]), "margins": np.array([0.2, 0.1, -0.1, 0.0])})  # fmt: skip
    assert figure("preference_accuracy", one) == 0.5  # a margin of nothing is no preference
    assert figure("preference_by_token", one) == 0.5 and figure("preference_equal_length", one) == 1.0


# -- tables ------------------------------------------------------------------------------------------------------------


def stored(**columns: Any) -> pa.Table:
    from metier.evaluate.predict import PREDICTIONS

    n = len(next(iter(columns.values())))
    return tables.table([{"id": str(i), **{name: column[i] for name, column in columns.items()}} for i in range(n)],
                        PREDICTIONS)  # fmt: skip


def test_a_floor_without_likelihoods_has_no_bits() -> None:
    rows = tables.table([{"answer": "yes", "pair": "q", "text": "t"}], tables.EXAMPLES)
    one = items(rows, stored(written=["no"], finished=[None]), "text", "nearest")
    assert set(one.more) == {"texts"} and list(one.gold) == ["yes"]
    assert asked(rows, "text")["text"].to_pylist() == ["t\n\nq"]


@pytest.mark.parametrize("bits", [[float("nan"), 1.0], [None, None]])
def test_likelihoods_that_are_none_are_told(bits: list[Any]) -> None:
    rows = tables.table([{"text": "a"}, {"text": "b"}], tables.EXAMPLES)
    with pytest.raises(UserError, match=r"likelihoods that are no numbers|gives no bits"):
        items(rows, stored(bits=bits, bytes=[1, 1]), "bits", "tuned")


# -- floors ------------------------------------------------------------------------------------------------------------


def floor_data(learned: list[dict[str, Any]], tested: list[dict[str, Any]]) -> FloorData:
    both = [tables.table(rows, tables.EXAMPLES) for rows in (learned, tested)]
    return FloorData(texts=[row.get("text", "") for row in learned], learned=both[0], tested=both[1])


def test_lead_takes_three_sentences_of_the_text_or_the_question() -> None:
    assert beginning("One. Two! Three? Four.") == "One. Two! Three?"
    assert beginning("第一句。第二句！第三句？第四句。") == "第一句。第二句！第三句？"
    tested = [{"text": "", "pair": "Why? Say."}, {"text": "A b. C.", "pair": "What?"}]
    found = lead(floor_data([], tested), ["", "A b. C."], TaskConfig(), 0)
    assert found.texts == ["Why? Say.", "A b. C."]


@pytest.mark.parametrize(
    ("known", "asked_for", "place"),
    [
        (["how do I close my account", "what is the fee for a transfer"], "the transfer fee, please", 1),
        (["如何注销账户", "转账手续费是多少"], "转账要收多少手续费？", 1),
        (["", ""], "anything", 0),
        (["same words", "same words"], "same words", 0),
    ],
)
def test_the_nearest_question(known: list[str], asked_for: str, place: int) -> None:
    assert closest(known, [asked_for])[0] == [place]


def test_nearest_copies_the_answer() -> None:
    learned = [
        {"pair": "what is the fee", "answer": "5 euros"},
        {"pair": "how to close an account", "answer": "by letter"},
    ]
    found = nearest(floor_data(learned, [{"pair": "closing the account, how?"}]), [""], TaskConfig(), 0)
    assert found.texts == ["by letter"] and "most similar" in found.how


def test_longer_prefers_the_longer_one() -> None:
    found = longer(floor_data([], [{"chosen": "abc", "rejected": "a"}, {"chosen": "a", "rejected": "b"}]), ["", ""],
                   TaskConfig(), 0)  # fmt: skip
    assert list(found.raw_margins or ()) == [2.0, 0.0]


@pytest.mark.parametrize(
    "corpus", [["the fee is due. the fee is paid."] * 3 + ["a loan"], ["贷款利率为百分之三。借款人应当还款。", "利率"]]
)
def test_the_ngram_model_gives_probabilities(corpus: list[str]) -> None:
    """Over all symbols that may come next the probabilities add up to 1, up to what is kept for symbols that cannot
    come: the edge of a text, and one that is not known."""
    model = fit(corpus)
    size = model.form[0]
    start = corpus[0][:6]
    if model.alphabet is None:
        following = [2 ** -(model.bits([f"{start}{chr(code)}"])[0] - model.bits([start])[0]) for code in range(128)]
        assert sum(following) <= 1 + 1e-9
    else:
        following = [2 ** -(model.bits([start + chr(code)])[0] - model.bits([start])[0]) for code in model.alphabet]
        assert sum(following) == pytest.approx(1, abs=2 / model.symbols)
    lowest = model.tables[0]
    kept = lowest.kept.sum() + lowest.rest.sum()
    assert kept == pytest.approx(1) and EDGE not in lowest.grams and size in (8, 16)


def test_the_ngram_model_is_kneser_ney() -> None:
    """Against the definition, counted by hand, on a text of one byte a symbol with plain discounts of 0.5."""
    text = "abracadabra"
    model = fit([text])
    edged = "\0" * 7 + text + "\0" * 7

    def probability(context: str, symbol: str) -> float:
        length = len(context) + 1
        if length == 8:
            grams = [edged[i : i + 8] for i in range(len(edged) - 7)]
        else:  # different symbols before it
            longer_ones = {edged[i : i + length + 1] for i in range(len(edged) - length)}
            grams = [one[1:] for one in longer_ones]
        mine = [one for one in grams if one.startswith(context) and one[-1] != "\0"]
        shorter = 1 / 256 if not context else probability(context[1:], symbol)
        if not mine:
            return shorter
        different = len(set(mine))
        counts = {one: grams.count(one) for one in set(grams) if one[-1] != "\0"}
        n = [sum(count == k for count in counts.values()) for k in (1, 2, 3, 4)]
        discount = [0.0, 0.5, 0.5, 0.5]
        if all(n[:3]):
            y = n[0] / (n[0] + 2 * n[1])
            discount = [0.0, *(min(max(k - (k + 1) * y * n[k] / n[k - 1], 0.01), k - 0.01) for k in (1, 2, 3))]
        total = sum(counts[one] for one in set(mine))
        saved = sum(discount[min(counts[one], 3)] for one in set(mine))
        own = counts.get(context + symbol, 0)
        assert different
        return (own - discount[min(own, 3)] if own else 0.0) / total + saved / total * shorter

    wanted = [-math.log2(probability(("\0" * 7 + "abrab")[at : at + 7], symbol)) for at, symbol in enumerate("abrab")]
    assert model.bits(["abrab"])[0] == pytest.approx(sum(wanted))


def test_a_text_that_was_learned_costs_less_than_another() -> None:
    law = ["The lender shall pay the borrower. The borrower shall repay the lender within thirty days."] * 3
    bits = fit(law).bits(
        [law[0], "Zebras quietly juxtapose eleven vivid mauve waltzing gnomes under x-ray lamps every."]
    )
    assert bits[0] < 0.35 * bits[1] and math.isfinite(bits[1])
    chinese = fit(["借款人应当按照约定的期限返还借款。"] * 3)
    assert chinese.alphabet is not None and np.isfinite(chinese.bits(["龘𠀀 emoji 🙂"])).all()


@given(st.lists(st.text(max_size=12), max_size=4), st.text(max_size=12))
@settings(max_examples=60)
def test_any_text_has_a_finite_length(corpus: list[str], text: str) -> None:
    bits = fit(corpus).bits([text])
    assert bits.shape == (1,) and math.isfinite(bits[0]) and (bits[0] > 0) == bool(text)


def test_the_ngram_floor_reads_answers_where_the_task_writes() -> None:
    learned = [{"text": "q", "answer": "the fee is five euros"}] * 4
    found = ngram(floor_data(learned, [{"text": "q", "answer": "the fee"}]), ["q"], TaskConfig(), 0)
    assert list(found.bytes or ()) == [7] and (found.bits or [0])[0] < 7 * 4
    plain = ngram(floor_data([{"text": "the law"}], [{"text": "the law"}]), ["the law"], TaskConfig(), 0)
    assert list(plain.bytes or ()) == [7]


def test_finding_in_nothing() -> None:
    place, there = _find(np.zeros(0, np.uint64), np.array([1], np.uint64))
    assert list(place) == [0] and not there[0]
