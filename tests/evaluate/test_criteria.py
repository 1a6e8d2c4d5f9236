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


CHECKS = {"privacy": {"membership_auc": "lower"}, "robustness": {"worst_accuracy": "higher"}}


@pytest.mark.parametrize(
    ("text", "metric", "label", "part"),
    [
        ("accuracy[language=zh] >= 0.8", "accuracy", "language=zh", ("language", "zh")),
        ("macro_f1[ source = branch-3 ] >= base - 0.02", "macro_f1", "source=branch-3", ("source", "branch-3")),
        ('accuracy["region=a]b"] >= 0.8', "accuracy", "region=a]b", ("region", "a]b")),
        ("recall[a=b] >= 0.8", "recall", "a=b", None),
        ("mcc[length=10000+] >= 0.8", "mcc", "length=10000+", ("length", "10000+")),
        ("accuracy >= 0.8", "accuracy", "", None),
    ],
)
def test_brackets_hold_a_label_or_a_part(text: str, metric: str, label: str, part: tuple[str, str] | None) -> None:
    one = check([text], CLASSIFY, MODELS, ["a=b"])[0]
    assert (one.metric, one.label, one.part, one.check) == (metric, label, part, "")


def test_figures_of_checks_are_read_and_known_early() -> None:
    one = check(["privacy.membership_auc <= 60%"], CLASSIFY, MODELS, None, CHECKS)[0]
    assert (one.check, one.metric, one.operator, one.number) == ("privacy", "privacy.membership_auc", "<=", 0.6)
    assert check(["robustness.worst_accuracy > 0.5"], SCORE, MODELS, None, CHECKS)[0].higher


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("privcy.membership_auc <= 0.6", "the check 'privcy' is not part of this run", "did you mean 'privacy'?"),
        ("privacy.auc <= 0.6", "gives no figure 'auc'", "membership_auc"),
        ("privacy.membership_auc >= 0.6", "better when it is lower", "privacy.membership_auc <= 0.6"),
        ("privacy.membership_auc <= base", "compared with a number", "privacy.membership_auc <= 0.1"),
        ("privacy.membership_auc[language=zh] <= 0.6", "has no parts", "0.1"),
        ("accuracy[=zh] >= 0.6", "a column and a value", "accuracy[language=zh]"),
    ],
)
def test_refuses_parts_and_checks_that_cannot_be(text: str, what: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        check([text], CLASSIFY, MODELS, None, CHECKS)
    assert what in caught.value.what and fix in caught.value.fix


def test_a_check_that_is_not_switched_on_is_named() -> None:
    with pytest.raises(UserError, match="'privacy' is not part of this run") as caught:
        check_config(EvaluateConfig(accept=("privacy.membership_auc <= 0.6",)), CLASSIFY)
    assert "evaluate.checks" in caught.value.fix
