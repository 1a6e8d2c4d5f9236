"""The task choose: what is learned of a question with options, what is asked, and what a model that learned answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluate import memory

from metier import tables
from metier.console import Console
from metier.evaluate.choosing import choice_items
from metier.evaluate.predict import answers_table
from metier.evaluate.probe import as_prediction
from metier.registry import lookup
from metier.train import chat
from metier.train.config import TaskConfig

QUIET = Console(quiet=True)
ASKED = (
    ("colour of the card?", ["red", "blue", "green"], "blue"),
    ("day of the loan?", ["monday", "friday", "sunday"], "monday"),
    ("size of the fee?", ["none", "one per cent", "all of it"], "all of it"),
)
ROWS = [{"id": f"{number:x}", "split": "train", "pair": question, "options": options, "answer": answer}
        for number, (question, options, answer) in enumerate(ASKED)]  # fmt: skip


def table(**more: Any) -> Any:
    return tables.table([{**row, **more} for row in ROWS], tables.EXAMPLES)


def task(**choice: str) -> TaskConfig:
    return TaskConfig.model_validate({"name": "choose", "choice": choice})


def learned(model: Any, rows: Any) -> list[str]:
    found = model.task.encode(model.encoder, rows)
    tokenizer = model.encoder.tokenizer
    return [tokenizer.decode(one.ids[one.weights > 0].tolist(), skip_special_tokens=True).strip()
            for one in found.examples]  # fmt: skip


@pytest.mark.parametrize(("choice", "wanted"), [
    ({"order": "published"}, ["B", "A", "C"]), ({"answer": "text"}, ["blue", "monday", "all of it"]),
])  # fmt: skip
def test_the_letter_or_the_words_are_learned(choice: dict[str, str], wanted: list[str], tmp_path: Path) -> None:
    model, _ = memory.writer(tmp_path, task(**choice))
    chat.prepare_tokenizer(model.encoder.tokenizer)
    assert learned(model, table()) == wanted


def test_letters_are_equally_often_right_in_training(tmp_path: Path) -> None:
    rows = tables.table([{**ROWS[0], "id": tables.digest(str(number))} for number in range(600)], tables.EXAMPLES)
    model, _ = memory.writer(tmp_path, task())
    made = model.task.turns(rows, every=True)
    counts = {letter: sum(turn.answer == letter for turn in made) for letter in "ABC"}
    assert sum(counts.values()) == 600 and min(counts.values()) > 150
    for turn in made[:20]:
        assert f"{turn.answer}. blue" in turn.question and turn.instruction.startswith("Answer with the letter")
    assert model.task.turns(table(pair="哪一个？"), every=True)[0].instruction == "请只回答正确选项的字母。"


def test_a_model_that_learned_the_order_of_the_data_is_found_out(tmp_path: Path) -> None:
    model, _ = memory.writer(tmp_path, task(order="published"))
    chat.prepare_tokenizer(model.encoder.tokenizer)
    memory.learn(model, table(), 120)
    decoded, encoded = model.predict(table(), QUIET)
    assert [len(own) for own in decoded.rotations] == [len(own) for own in decoded.option_bits] == [3, 3, 3]
    assert encoded.loss_report()["texts"] == 3
    one = choice_items(table(), answers_table({"tuned": as_prediction(decoded)}, ["0", "1", "2"]), "tuned")
    assert (one.predicted == one.gold).all(), "it knows the questions as they were learned"
    assert one.more["rotations_all"].mean() < 1.0, "and not in another order: it has learned letters"


def test_the_likelihood_is_that_of_the_words_after_the_question_alone(tmp_path: Path) -> None:
    model, _ = memory.writer(tmp_path, task())
    chat.prepare_tokenizer(model.encoder.tokenizer)
    decoded, _ = model.predict(table(), QUIET)
    plain = lookup("task", "generate")(TaskConfig(name="generate"), {})
    for place in range(3):
        bits, _ = plain.measure(model, table(), [row["options"][place] for row in ROWS], QUIET)
        assert np.allclose(bits, [own[place] for own in decoded.option_bits], rtol=1e-4)
