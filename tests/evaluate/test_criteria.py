"""Criteria: what can be read, what is refused and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metier.errors import UserError
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import Criterion, check, check_config, defaults, parse
from metier.train.config import TaskConfig

CLASSIFY, SCORE = TaskConfig(), TaskConfig(name="score")
SEVERAL = TaskConfig(multi_label=True)
MODELS = ["tuned", "base", "zero_shot", "majority", "tfidf"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= 0.9", ("accuracy", "", ">=", "", 0.9)),
        ("accuracy>=90%", ("accuracy", "", ">=", "", 0.9)),
        ("accuracy ≥ 90 ％", ("accuracy", "", ">=", "", 0.9)),
        ("accuracy > tfidf + 0.01", ("accuracy", "", ">", "tfidf", 0.01)),
        ("macro_f1 >= base - 2%", ("macro_f1", "", ">=", "base", -0.02)),
        ("recall[fraud] >= 0.8", ("recall", "fraud", ">=", "", 0.8)),
        ("f1[ loan request ] > base", ("f1", "loan request", ">", "base", 0.0)),
        ('precision["a]b"] >= .5', ("precision", "a]b", ">=", "", 0.5)),
        ("recall[欺诈] ≥ 0.8", ("recall", "欺诈", ">=", "", 0.8)),
        ("mae <= 2e-1", ("mae", "", "<=", "", 0.2)),
        ("mae < base", ("mae", "", "<", "base", 0.0)),
        ("mcc > -0.1", ("mcc", "", ">", "", -0.1)),
    ],
)
def test_reads(text: str, expected: tuple[str, str, str, str, float]) -> None:
    one = parse(text)
    assert (one.metric, one.label, one.operator, one.model) == expected[:4]
    assert one.number == pytest.approx(expected[4]) and one.text == text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "character 1"),
        ("0.9 <= accuracy", "character 1"),
        ("accuracy", "character 9"),
        ("accuracy = 0.9", "character 9"),
        ("accuracy >= ", "character 12"),
        ("accuracy >= 0.9 and mcc > 0", "character 16"),
        ("recall[] >= 0.9", "character 8"),
        ("recall[fraud >= 0.9", "character 8"),
        ("accuracy > tfidf 0.01", "character 17"),
        ("accuracy > tfidf / 2", "character 17"),
        ("accuracy > tfidf * 2 + 1", "character 21"),
        ("accuracy > tfidf * x", "character 19"),
        ("accuracy >= 1e999", "character"),
    ],
)
def test_refuses_with_the_position_and_an_example(text: str, place: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert place in caught.value.what and "accuracy >= 0.9" in caught.value.fix


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"[a-z_1]*(\[.*\])? ?[<>=≥]{1,2} ?[a-z0-9.+\- %e]*")))
@example("recall['] >= 0.9")
@example('recall["a"b"] > 0')
def test_any_text_is_a_criterion_or_a_user_error(text: str) -> None:
    try:
        assert isinstance(parse(text), Criterion)
        check([text], CLASSIFY, MODELS, ["fraud"])
    except UserError as error:
        assert error.what and error.fix


@pytest.mark.parametrize(
    ("text", "task", "said"),
    [
        ("acuracy >= 0.9", CLASSIFY, "did you mean 'accuracy'?"),
        ("mae <= 0.2", CLASSIFY, "known:"),
        ("accuracy >= 0.9", SCORE, "known: mae"),
        ("mcc >= 0.9", SEVERAL, "known:"),
        ("accuracy > tfdif", CLASSIFY, "did you mean 'tfidf'?"),
        ("accuracy > tuned", CLASSIFY, "known:"),
        ("recall[frod] >= 0.8", CLASSIFY, "did you mean 'fraud'?"),
        ("recall >= 0.8", CLASSIFY, "recall[label]"),
        ("accuracy[fraud] >= 0.8", CLASSIFY, "leave [fraud] out"),
        ("accuracy <= 0.9", CLASSIFY, "accuracy >= 0.9"),
        ("ece >= 0.1", CLASSIFY, "ece <= 0.1"),
        ("mae >= 0.1", SCORE, "mae <= 0.1"),
        ("accuracy >= 90", CLASSIFY, "0.9 or 90%"),
        ("accuracy > base + 1", CLASSIFY, "0.01 or 1%"),
    ],
)
def test_refuses_what_cannot_be_meant(text: str, task: TaskConfig, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check([text], task, MODELS, ["fraud", "other"])
    assert said in caught.value.fix and text in caught.value.where


def test_labels_are_checked_once_they_are_known() -> None:
    assert check(["recall[frod] >= 0.8"], CLASSIFY, MODELS)[0].label == "frod"


def test_the_section_is_checked_before_training() -> None:
    found = check_config(EvaluateConfig(), CLASSIFY)
    assert [one.text for one in found] == ["accuracy > base", "accuracy > majority", "accuracy > tfidf"]
    found = check_config(EvaluateConfig(), SCORE)
    assert [one.text for one in found] == ["mae < base", "mae < mean", "mae < tfidf"]
    assert defaults(EvaluateConfig(base=False, floors=("tfidf",)), SEVERAL)[0].text == "macro_f1 > tfidf"
    with pytest.raises(UserError, match="nothing to judge"):
        check_config(EvaluateConfig(base=False, floors=()), CLASSIFY)
    with pytest.raises(UserError, match="no floor called 'tfdif'"):
        check_config(EvaluateConfig(floors=("tfdif",)), CLASSIFY)
    with pytest.raises(UserError, match="no model 'base'"):
        check_config(EvaluateConfig(base=False, accept=("accuracy > base",)), CLASSIFY)


def test_holds_at_the_border() -> None:
    assert parse("accuracy >= 0.9").holds(0.9) and not parse("accuracy > 0.9").holds(0.9)
    assert parse("mae <= 0.2").holds(0.2) and not parse("mae < 0.2").holds(0.2)
