"""What `metier inspect RECIPE` shows is what training does: its masks, its windows, its cuts, its refusals."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from metier.artifact import Artifact
from metier.cli import app, drawing
from metier.console import Console
from metier.errors import UserError
from metier.tables import EXAMPLES, table, write
from metier.train import chat
from metier.train.config import TaskConfig, TrainConfig
from metier.train.stage import train
from metier.train.view import Sight, look

QUIET = Console(quiet=True)
DOCUMENT = "The card fee is 3 %. The loan fee is 5 %. Late letters cost 2 pounds each. "
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "?"}]


@pytest.fixture
def seen(tmp_path, base, writer):
    """(task, rows, more) -> what is seen of them; rows of the split train, twice as many in all."""

    def get(task: str, data: list[dict[str, Any]], family: str = "", most: int = 3, **more: Any) -> Sight:
        made = [{"id": f"row{index}", "split": "train", **row} for index, row in enumerate(data)]
        write(table(made, EXAMPLES), tmp_path / "examples" / "examples.parquet")
        settings = {name: more.pop(name) for name in list(more) if name in TrainConfig.model_fields}
        found = writer(family) if family in ("llama", "t5") else base(family or "bert")
        config = TrainConfig(base_model=str(found.path), **settings)
        artifact = Artifact(tmp_path / "examples", "prepare", "", {}, {}, {})
        return look(config, TaskConfig(name=task, **more), artifact, QUIET, most=most)

    return get


def drawn(sight: Sight) -> str:
    stream = io.StringIO()
    drawing.draw(sight, stream, colour=False)
    return stream.getvalue()


def test_of_a_generated_answer_the_answer_and_its_stop_token_are_learned(seen):
    sight = seen("generate", [{"text": "The card is lost.", "pair": "What is lost?", "answer": "the card"}], "llama")
    (view,) = sight.views
    marked = [piece for passage in view.passages for piece in passage.pieces if piece.learned is not None]
    assert [piece.text for piece in marked] == ["the card</s>"] and marked[0].tokens == len("the card") + 1
    assert dict(sight.facts)["template"].startswith("Metier's plain one") and not sight.problems
    assert "⟦the card</s>⟧" in drawn(sight) and "What is lost?" in drawn(sight)


def test_a_shared_document_stands_once_with_its_branches(seen):
    data = [{"text": DOCUMENT * 2, "pair": f"What is fee {n}?", "answer": f"{n} %"} for n in (3, 5)]
    (view,) = seen("generate", data, "llama").views
    assert view.ids == ("row0", "row1")
    document, *branches = view.passages
    assert document.name == "shared beginning" and document.depth == 0 and document.learned == 0
    assert [one.depth for one in branches] == [1, 1] and all(one.learned == len("3 %") + 1 for one in branches)
    assert drawn(seen("generate", data, "llama")).count("Late letters") == 2  # the document says so twice, once


def test_every_answer_of_a_conversation_is_learned_but_what_says_otherwise(seen):
    silent = [{**TALK[0], "content": "Good morning"}, {**TALK[1], "loss": False}, dict(TALK[2])]
    data = [{"messages": json.dumps(talk), "answer": "Bye 再见"} for talk in (TALK, silent)]
    first, second = seen("chat", data, "llama", most=9).views
    texts = [[piece.text for one in view.passages for piece in one.pieces if piece.learned is not None]
             for view in (first, second)]  # fmt: skip
    assert texts == [["Hello</s>", "Bye 再见</s>"], ["Bye 再见</s>"]]


def test_pretraining_learns_all_but_the_first_token_and_repeats_nothing(seen):
    (view,) = seen("pretrain", [{"text": "x" * 30}], "llama", most=1, max_length=16, window_overlap=4).views[:1]
    sight = seen("pretrain", [{"text": "x" * 30}], "llama", most=9, max_length=16, window_overlap=4)
    assert sum(one.learned for view in sight.views for one in view.passages) == 30 + 1
    assert view.passages[0].pieces[0].text == "<s>" and view.passages[0].pieces[0].learned is None


def test_of_an_encoder_the_hidden_tokens_are_marked_with_what_was_there(seen, base, monkeypatch):
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.mask_token_id", 0, raising=False)
    (view,) = seen("pretrain", [{"text": "my card is lost please help my card is lost"}]).views
    marked = [piece for piece in view.passages[0].pieces if piece.learned is not None]
    assert len(marked) == 2 and all(piece.learned in ["my", "card", "is", "lost", "please", "help"] for piece in marked)


def test_both_answers_of_a_pair_follow_one_prompt(seen):
    row = {"messages": json.dumps(TALK[:1] * 1), "chosen": "a good answer", "rejected": "bad"}
    (view,) = seen("prefer", [{**row, "messages": json.dumps([{"role": "user", "content": DOCUMENT}])}], "llama").views
    names = [passage.name for passage in view.passages]
    assert names == ["shared beginning", "branch 2", "branch 3"]
    assert sorted(one.learned for one in view.passages) == [0, len("bad") + 1, len("a good answer") + 1]


def test_an_encoder_decoder_reads_the_prompt_and_learns_the_answer(seen):
    (view,) = seen("generate", [{"text": "card", "answer": "lost"}], "t5").views
    assert [(one.name, one.learned) for one in view.passages] == [
        ("the encoder reads", 0), ("the decoder learns", len("lost") + 1),
    ]  # fmt: skip


def test_tags_stand_at_their_words(seen):
    data = [{"text": "my card is lost", "spans": [{"start": 3, "end": 7, "label": "thing"}]}]
    (view,) = seen("tag", data).views
    marked = {piece.text: piece.learned for piece in view.passages[0].pieces if piece.learned is not None}
    assert marked == {"my": "O", "card": "B-thing", "is": "O", "lost": "O"}
    assert "⟦card|B-thing⟧" in drawn(seen("tag", data))


def test_answers_are_marked_where_they_start_and_end(seen):
    there = {"text": "my card is lost", "pair": "the card", "answers": [{"start": 3, "end": 10}]}
    one, none = seen("extract", [there, {"text": "a fee", "pair": "card"}]).views
    assert [(p.text, p.learned) for p in one.passages[0].pieces if p.learned] == [("card", "start"), ("is", "end")]
    assert [(p.text, p.learned) for p in none.passages[0].pieces if p.learned] == [("[CLS]", "no answer here")]


def test_labels_values_relations_and_vectors_are_learned_of_the_whole(seen):
    data = [{"text": "my card", "label": "card"}, {"text": "a loan", "label": "loan"}]
    assert [view.target for view in seen("classify", data).views] == ["card", "loan"]
    valued = seen("score", [{"text": "a", "value": 2.5}, {"text": "b", "value": 1.0}])
    assert [view.target for view in valued.views] == ["2.5", "1.0"]
    related = [{"text": "<< card >> is [[ lost ]]", "label": "is"}, {"text": "<< a >> not [[ my ]]", "label": "not"}]
    assert [view.target for view in seen("relate", related).views] == ["is", "not"]
    (view,) = seen("embed", [{"pair": "card", "text": "my card", "negatives": ["a loan"]}]).views
    assert [passage.name for passage in view.passages] == ["query", "passage", "hard negative 1"]


def test_what_is_cut_is_shown_and_counted_even_where_it_stands_far_behind(seen):
    data = [{"text": "my card is lost", "label": "a"}, {"text": "fee", "label": "b"}] * 10
    data += [{"text": "please help my card is lost not here the bank", "label": "a"}]
    sight = seen("classify", data, most=1, max_length=8, max_windows=1)
    assert [view.ids for view in sight.views] == [("row0",), ("row20",)]
    assert [(piece.text, piece.tokens) for piece in sight.views[1].cut] == [("not here the bank", 4)]
    assert sight.losses == ["1 texts were cut (4 tokens left out); see train.long_text"]
    windows = seen("classify", data, most=1, max_length=8, window_overlap=2)
    assert not windows.views[0].cut and dict(windows.facts)["windows"].startswith("1 texts")
    assert "not read (4 tokens): not here the bank" in drawn(sight)


def test_the_end_of_a_long_conversation_that_is_cut_is_shown(seen):
    sight = seen("generate", [{"text": "q", "answer": "abcdefghij" * 12}, {"text": "q", "answer": "z"}], "llama",
                 most=1, max_length=64)  # fmt: skip
    (piece,) = sight.views[0].cut
    assert piece.text.strip().endswith("hij</s>") and piece.tokens > 60
    assert "1 examples lose the end of their last answer, so that no stop token is learned from it" in sight.losses


@pytest.mark.parametrize("task", ["generate", "prefer"])
def test_training_stops_where_no_answer_teaches_the_end(task, seen, tmp_path, writer):
    row = {"text": "q", "answer": "a" * 200, "chosen": "a" * 200, "rejected": "b" * 200,
           "messages": json.dumps([{"role": "user", "content": "q"}])}  # fmt: skip
    sight = seen(task, [row], "llama", max_length=64)
    assert [str(one.what) for one in sight.problems if "no stop token" in str(one)] and "training would stop" in drawn(
        sight
    )
    stopped(tmp_path, writer, task, "no stop token would ever be learned", max_length=64)


def test_training_stops_where_a_row_is_masked_whole(seen, tmp_path, monkeypatch, writer):
    """A template whose own words fill all that is read, of conversations with a system message only."""
    heavy = "{% if messages[0].role == 'system' %}" + "rules " * 20 + "{% endif %}" + chat.PLAIN_TEMPLATE
    monkeypatch.setattr(chat, "PLAIN_TEMPLATE", heavy)
    data = [{"messages": json.dumps(talk), "answer": "ok"} for talk in (TALK[:1], [{"role": "system", "content": "s"},
                                                                                   TALK[0]])]  # fmt: skip
    assert "of 1 of 2 training examples nothing" in str(seen("chat", data, "llama", max_length=64).problems[0])
    stopped(tmp_path, writer, "chat", "all their labels are masked", max_length=64)
    allowed = seen("chat", data, "llama", max_length=64, max_silent=0.5)
    assert not allowed.problems and any("hold nothing that is learned" in line for line in allowed.losses)


def test_training_stops_where_too_much_is_cut(seen, tmp_path, writer):
    rows = [{"text": "w " * 400, "pair": "?", "answer": "a"}]
    assert "would be cut" in str(seen("generate", rows, "llama", max_length=64, max_cut=0.5).problems[0])
    stopped(tmp_path, writer, "generate", "tokens of the training texts would be cut", max_length=64, max_cut=0.5)


def stopped(tmp_path, writer, task: str, match: str, **settings: Any) -> None:
    """Training itself refuses, before a step is made, and says where and what to type."""
    config = TrainConfig(base_model=str(writer("llama").path), device="cpu", **settings)
    artifact = Artifact(tmp_path / "examples", "prepare", "", {}, {}, {})
    with pytest.raises(UserError, match=match) as caught:
        train(config, TaskConfig(name=task), 0, artifact, tmp_path / "out", QUIET)
    assert caught.value.where and "train." in caught.value.fix
    assert not (tmp_path / "out" / "model").exists()


def test_the_page_holds_every_text_unshortened_and_escaped(seen):
    page = drawing.html(seen("generate", [{"text": "<b>" + "long " * 60, "answer": "a & b"}], "llama"), "日本 <x>")
    assert "&lt;b&gt;" + "long " * 59 in page and "<mark>a &amp; b&lt;/s&gt;</mark>" in page
    assert "<x>" not in page and "http" not in page


def test_the_command_shows_a_recipe_before_anything_is_trained(tmp_path, base, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("text,label\n" + "".join(f"my card is lost {n},card\na loan {n},loan\n"
                                                                for n in range(12)))  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(
        "name: look\ntask: classify\ncollect: {sources: data.csv, workers: 1}\n"
        f"train: {{base_model: {base('bert').path}}}\n"
    )
    done = CliRunner().invoke(app, ["inspect", "recipe.yaml", "train.max_length=12", "--examples", "1"])
    assert done.exit_code == 0, done.output
    assert "[CLS] text [SEP]" in done.output and "reads at once   12 tokens" in done.output
    assert "learned of the whole: ⟦" in done.output
    assert not (tmp_path / "runs").exists() and not list(tmp_path.glob(".metier/store/train/*"))
    page = CliRunner().invoke(app, ["inspect", "recipe.yaml", "--html", "page.html"])
    assert page.exit_code == 0 and "<mark>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    wrong = CliRunner().invoke(app, ["inspect", "recipe.yaml", "--split", "test"])
    assert isinstance(wrong.exception, UserError)
