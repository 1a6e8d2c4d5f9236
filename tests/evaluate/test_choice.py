"""Multiple choice: which option an answer names, figures over rotations and by likelihood, floors, the whole stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier import tables
from metier.errors import UserError
from metier.evaluate.choosing import choice_items, named
from metier.evaluate.floors.base import FloorData
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.predict import answers_table
from metier.lettering import LETTERS, listed, rotated
from metier.registry import lookup
from metier.train.config import TaskConfig

from .test_written_stage import judged

FOUR = ("benign", "not benign", "maybe", "none")
TASK = TaskConfig(name="choose")


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("B.", 1),
        ("**C**", 2),
        ("Ｃ", 2),
        ("The answer is B.", 1),
        ("Answer: C", 2),
        ("option c", 2),
        ("答案是B", 1),
        ("选B。", 1),
        ("正确答案：D", 3),
        ("我选择A", 0),
        ("B. not benign", 1),
        ("A 良性", 0),
        ("C\nbecause A is wrong", 2),
        ("benign", 0),
        ("It is not benign.", 1),
        ("maybe it is", 2),
        ("A, B", -1),
        ("AB", -1),
        ("A和B", -1),
        ("A and B", -1),
        ("The answer is A or B", -1),
        ("A patient with fever", -1),
        ("E", -1),
        ("I think so", -1),
        ("", -1),
        ("maybe none", -1),
    ],
)
def test_which_option_an_answer_names(answer: str, place: int) -> None:
    assert named(answer, FOUR) == place


WORDS = st.text("abcdefgh甲乙丙丁", min_size=2, max_size=6)


@given(st.lists(WORDS, min_size=2, max_size=10, unique=True), st.data())
def test_the_right_letter_or_the_right_words_are_right_in_every_rotation(options: list[str], data: Any) -> None:
    right = data.draw(st.sampled_from(options))
    rows = pa.table({"options": [options], "answer": [right]})
    shown = [rotated(options, by) for by in range(len(options))]
    for written in ([LETTERS[own.index(right)] for own in shown], [right] * len(options)):
        one = choice_items(rows, pa.table({"rotations": [written], "option_bits": [None]}), "tuned")
        figures = {metric.name: value(metric, one) for metric in for_kind("choice")}
        assert figures["choice_accuracy"] == figures["choice_consistent"] == figures["choice_published"] == 1.0
        assert figures["choice_unparsable"] == 0.0 and figures["choice_likelihood"] is None


def test_figures_over_rotations_and_likelihoods() -> None:
    options = [["x", "yyyy"], ["x", "yyyy"], ["aa", "bb"]]
    rows = pa.table({"options": options, "answer": ["yyyy", "x", "aa"]})
    written = [["B", "A"], ["A", "A"], ["?", "B"]]  # right and right, right and wrong, none and right
    bits = [[3.0, 8.0], [3.0, 8.0], [5.0, 5.0]]
    one = choice_items(rows, pa.table({"rotations": written, "option_bits": bits}), "tuned")
    assert {metric.name: value(metric, one) for metric in for_kind("choice")} == pytest.approx({
        "choice_accuracy": (1 + 0.5 + 0.5) / 3, "choice_consistent": 1 / 3, "choice_published": 2 / 3,
        "choice_unparsable": 1 / 6, "choice_likelihood": 1.5 / 3, "choice_likelihood_per_byte": 1.5 / 3,
    })  # fmt: skip
    with pytest.raises(UserError, match="no numbers"):
        choice_items(rows, pa.table({"rotations": written, "option_bits": [[np.nan, 1.0]] * 3}), "tuned")
    with pytest.raises(UserError, match="no right option"):
        choice_items(pa.table({"options": options, "answer": ["z"] * 3}), pa.table({"rotations": written, "option_bits":
                     bits}), "tuned")  # fmt: skip


def test_a_fixed_letter_is_chance_and_the_longest_option_may_not_be() -> None:
    learned = tables.table([{"options": ["a", "bb"], "answer": "bb"}] * 3 + [{"options": ["cc", "d"], "answer": "cc"}],
                           tables.EXAMPLES)  # fmt: skip
    tested = tables.table([{"options": ["a", "bbb", "c"], "answer": "bbb"}, {"options": ["a", "bb", "ccc"],
                           "answer": "ccc"}], tables.EXAMPLES)  # fmt: skip
    data = FloorData(texts=[""], learned=learned, tested=tested)
    for name, accuracy, published in (("majority_letter", 1 / 3, 0.5), ("longest_option", 1.0, 1.0)):
        answer = lookup("floor", name)(data, ["", ""], TASK, 0)
        one = choice_items(tested, answers_table({name: answer}, ["1", "2"]), name)
        assert value(lookup("metric", "choice_accuracy"), one) == pytest.approx(accuracy)
        assert value(lookup("metric", "choice_published"), one) == pytest.approx(published)
    with pytest.raises(UserError, match="needs the options"):
        lookup("floor", "longest_option")(FloorData(texts=[""]), [""], TASK, 0)


def test_the_stage_compares_tests_and_decides(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    answers: dict[str, list[dict[str, Any]]] = {"tuned": [], "base": [], "longest_option": []}
    for number in range(60):
        options = [f"{word} {number}" for word in ("red", "blue", "green", "a long yellow")]
        right = options[number % 4]
        rows.append({"pair": f"colour {number}?", "answer": right, "options": options})
        letters = [LETTERS[rotated(options, by).index(right)] for by in range(4)]
        noisy = [letter if random.random() < 0.8 else "none of them" for letter in letters]
        bits = [[1.0 if option == right else 2.0 for option in options]]
        answers["tuned"].append({"rotations": noisy, "option_bits": bits[0]})
        answers["base"].append({"rotations": ["C"] * 4, "option_bits": [1.0, 2.0, 3.0, 4.0]})
        longest = [LETTERS[rotated(options, by).index(options[3])] for by in range(4)]
        answers["longest_option"].append({"rotations": longest, "option_bits": None})
    results, cases = judged(tmp_path, "choose", rows, answers, {"accept": ["choice_accuracy > base",
                                                                "choice_consistent >= 0.1"]})  # fmt: skip
    tuned, base = results["models"]["tuned"], results["models"]["base"]
    assert base["choice_accuracy"]["value"] == 0.25 and tuned["choice_accuracy"]["value"] == pytest.approx(
        0.8, abs=0.06
    )
    assert tuned["choice_likelihood"]["value"] == 1.0 and results["models"]["longest_option"]["choice_likelihood"][
        "value"] is None  # fmt: skip
    assert tuned["choice_accuracy"]["low"] < tuned["choice_accuracy"]["value"] < tuned["choice_accuracy"]["high"]
    assert results["verdict"]["decision"] == "SIGN OFF" and results["primary"] == "choice_accuracy"
    compared = {(row["metric"], row["against"]): row for row in results["comparisons"]}
    assert compared["choice_accuracy", "base"]["outcome"] == "better"
    assert compared["choice_consistent", "base"]["test"] == "mid-p McNemar"
    said = " ".join(warning["text"] for warning in results["warnings"])
    assert "answers of the tuned model name no option" in said
    mended = next(case for case in cases if case["kind"] == "mended")
    assert mended["text"].startswith("colour ") and "\nB. blue" in mended["text"] and mended["gold"][1:3] == ". "


def test_options_are_listed_with_their_letters() -> None:
    assert listed("Which?", ["x", "y"]) == "Which?\n\nA. x\nB. y" and rotated("abc", 1) == ["b", "c", "a"]
