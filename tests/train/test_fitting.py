"""Conversations within what a model reads at once: windows that questions share, and every token that did not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from metier.console import Console
from metier.errors import UserError
from metier.registry import lookup
from metier.train import chat
from metier.train.checks import stop_at
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.fitting import Turn, answered, bytes_of, fit
from metier.train.grouping import Grouped
from metier.train.model import TunedModel
from metier.train.network import Shape, load, load_tokenizer
from metier.train.sharing import Families

DOCUMENT = " ".join(f"Clause {n}: the fee for item {n} is {7 * n} pounds." for n in range(1, 41))


@pytest.fixture
def encoder(writer):
    def make(limit: int, **more) -> Encoder:
        tokenizer = load_tokenizer(writer("llama"))
        chat.prepare_tokenizer(tokenizer)
        return Encoder(tokenizer, limit, **more)

    return make


def asked(number: int, answer: str | None = None) -> Turn:
    return Turn((), document=DOCUMENT, question=f"What is the fee for item {number}?", answer=answer)


def test_what_fits_is_left_alone(encoder):
    turn = Turn((), document="short", question="what?", answer="this")
    (found,) = fit(encoder(200), [turn])
    assert found.turn == turn and found.lost == 0 and not found.windowed
    assert found.example is not None and found.example.labelled == len("this") + 1  # and the stop token


def test_a_question_is_asked_of_the_window_that_holds_its_words(encoder):
    found = fit(encoder(400), [asked(3), asked(38)], reserve=40)
    assert "item 3 is 21" in found[0].turn.document and "Clause 38" in found[1].turn.document
    assert all(one.windowed and one.lost > 0 and one.example is None for one in found)
    tokenizer = encoder(400).tokenizer
    assert all(len(one.prompt(tokenizer)) <= 400 - 40 for one in found), "room is left for an answer"


def test_in_training_the_window_holds_the_answer_unless_it_says_nothing(encoder):
    telling = Turn((), document=DOCUMENT, question="Which fee?", answer="the fee for item 30 is 210 pounds.")
    vague = Turn((), document=DOCUMENT, question="What is the fee for item 38?", answer="is")
    found = fit(encoder(400), [telling, vague])
    assert telling.answer in found[0].turn.document
    assert "Clause 38" in found[1].turn.document, "a word that stands everywhere does not choose the window"
    assert not found[0].elsewhere


def test_questions_about_one_long_document_share_their_windows(encoder):
    found = fit(encoder(400), [asked(n, f"{7 * n}") for n in (1, 2, 3)])
    assert len({one.turn.document for one in found}) == 1


def test_an_answer_that_no_window_holds_is_told(encoder):
    across = DOCUMENT[100:900]
    (found,) = fit(encoder(400), [replace(asked(5), answer=across)])
    assert found.elsewhere


def test_the_oldest_turns_are_dropped_and_the_system_message_stays(encoder):
    head = [{"role": "system", "content": "Be brief."}]
    for n in range(8):
        head += [
            {"role": "user", "content": f"question {n} " * 4},
            {"role": "assistant", "content": f"answer {n} " * 4},
        ]
    head.append({"role": "user", "content": "and now?"})
    (found,) = fit(encoder(250), [Turn(tuple(head), answer="yes", every=True)])
    assert found.turn.head[0] == head[0] and found.turn.head[-1] == head[-1]
    assert 0 < len(found.turn.head) < len(head) and found.lost > 0 and found.read <= 250


def test_a_question_too_long_by_itself_loses_its_beginning_and_keeps_room_for_the_answer(encoder):
    long = "先前的话。" * 100 + "最后的问题是什么？"
    (found,) = fit(encoder(200), [Turn(({"role": "user", "content": long},), answer="好的")])
    assert found.turn.head[0]["content"].endswith("最后的问题是什么？")
    assert found.example is not None and found.read <= 200
    assert found.example.labelled == len("好的".encode()) + 1, "the whole answer and its stop token are learned"


def test_a_cut_answer_pays_for_the_bytes_that_are_read(encoder):
    made = encoder(120)
    (prompt,) = fit(made, [Turn((), question="tell me")], reserve=40)
    whole, cut = answered(made, prompt, "short"), answered(made, prompt, "z" * 500)
    assert bytes_of(made.tokenizer, whole) == 5 and whole.lost == 0
    assert cut.example is not None and len(cut.example) == 120
    assert bytes_of(made.tokenizer, cut) == cut.example.labelled < 500


def test_bits_are_of_the_very_prompt_that_the_model_answers(writer, encoder):
    """A right answer must not choose the window that it is measured in."""
    base = writer("llama")
    network = load(base, Shape(1, "", "language", rows="examples"), 0).eval()
    task = lookup("task", "generate")(TaskConfig(name="generate", max_new_tokens=60), {})
    model = TunedModel(network, task, lookup("method", "full"), encoder(400), 16384, False)
    table = pa.table({"text": [DOCUMENT] * 2, "pair": ["What is the fee for item 3?"] * 2,
                      "answer": ["the fee for item 38 is 266 pounds.", "z" * 900]})  # fmt: skip
    decoded, encoded = model.predict(table, Console(quiet=True))
    prompts = [one.ids[: int(np.flatnonzero(one.weights)[0])].tolist() for one in encoded.examples]
    assert prompts[0] == prompts[1], "the same question, so the same window, whatever the answer"
    assert decoded.bytes[0] == 34 and 0 < decoded.bytes[1] < 900
    rates = np.array(decoded.bits) / np.array(decoded.bytes)
    assert np.all((rates > 6) & (rates < 10)), "a random model over 260 tokens needs about eight bits a byte"


def test_no_prompt_is_longer_than_the_model_reads(writer, encoder):
    """GPT-2 has a table of positions: a longer prompt would not be slow but impossible."""
    network = load(writer("gpt2"), Shape(1, "", "language", rows="examples"), 0).eval()
    task = lookup("task", "chat")(TaskConfig(name="chat", max_new_tokens=30), {})
    model = TunedModel(network, task, lookup("method", "full"), encoder(512), 16384, False)
    decoded, encoded = model.predict(pa.table({"text": ["hello " * 500, "", "你好"]}), Console(quiet=True))
    assert len(decoded.texts) == 3 and encoded.cut == 1 and encoded.cut_tokens > 1500


def test_shared_documents_are_not_taken_for_lost_ones(encoder):
    """Seventeen questions that each read a quarter of a document read a quarter of it, however often it is shared."""
    fits = fit(encoder(400), [asked(n % 3 + 1, f"{n}") for n in range(17)])
    task = lookup("task", "generate")(TaskConfig(name="generate"), {})
    made = task._group(encoder(400), fits)
    whole = sum(one.size for one in fits)
    assert made.cut_share == pytest.approx(sum(one.lost for one in fits) / whole, abs=0.01)
    assert made.groups.saving > 3
    stop_at(made, TrainConfig(), encoder(400))
    with pytest.raises(UserError, match="would be cut"):
        stop_at(made, TrainConfig(max_cut=0.5), encoder(400))


def test_both_answers_of_a_pair_follow_one_prompt(encoder):
    task = lookup("task", "prefer")(TaskConfig(name="prefer"), {})
    turns = '[{"role": "user", "content": "' + "long " * 60 + 'question"}]'
    encoded = task.encode(encoder(200), pa.table({"messages": [turns], "chosen": ["yes"], "rejected": ["no " * 40]}))
    first, second = (one.ids[: int(np.flatnonzero(one.weights)[0])].tolist() for one in encoded.examples)
    assert first == second and all(len(one) <= 200 for one in encoded.examples)
    assert encoded.cut == 1 and encoded.cut_tokens > 0


def test_nothing_read_is_no_division_by_zero():
    assert Grouped((), (), 0, Families((), (), 0, 0)).cut_share == 0.0
