"""Talking with a model: its own template, its own greedy answers, turns that are remembered and forgotten."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from tests.train.models import build, build_writer

from metier.conversation import LEAST, Conversation, at_hand, open_model, talk
from metier.errors import UserError

TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return build_writer("llama", tmp_path_factory.mktemp("chat") / "llama", TEMPLATE).path


@pytest.fixture
def conversation(folder) -> Conversation:
    return Conversation(open_model(str(folder), "cpu"), system="Be brief.", most=8)


def test_an_answer_is_the_models_own_greedy_one(conversation, folder) -> None:
    import transformers

    answer, _ = conversation.answer("你好")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("[system] Be brief.\n[user] 你好\n[assistant] ", return_tensors="pt").input_ids
    out = model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert answer == tokenizer.decode(out, skip_special_tokens=True).strip()


def test_without_a_name_the_base_that_answers_is_taken(monkeypatch) -> None:
    from metier.train import bases

    monkeypatch.setattr(bases, "INSTALLED", {bases.TALKER: None})
    assert at_hand() == "primer-instruct"
    monkeypatch.setattr(bases, "INSTALLED", {})
    with pytest.raises(UserError, match="no model is named"):
        at_hand()


def test_what_was_said_is_read_again_until_it_is_forgotten(conversation) -> None:
    first, _ = conversation.answer("one")
    conversation.answer("two")
    tokenizer = conversation.model.encoder.tokenizer
    read = tokenizer.decode(conversation._prompt(conversation.said))
    assert "[user] one" in read and "[user] two" in read and first in read and "[system] Be brief." in read
    conversation.forget()
    assert conversation.answer("one")[0] == first  # greedy, and nothing is left of the turns before


def test_old_turns_make_room_and_that_is_told(conversation) -> None:
    said = "x" * (conversation.window // 3)
    remarks = [remark for _ in range(4) for remark in conversation.answer(said)[1]]
    assert any("2 earlier messages no longer fit" in remark for remark in remarks)
    assert len(conversation._prompt(conversation.said)) <= conversation.window
    with pytest.raises(UserError, match="longer than"):
        conversation.answer("x" * conversation.window)
    assert conversation.said[-1]["role"] == "assistant"  # the message that was refused is not remembered


def test_an_answer_that_was_cut_is_told(conversation) -> None:
    conversation.most = LEAST
    _, remarks = conversation.answer("one")  # the random model does not come to an end by itself
    assert remarks == [f"the answer was cut after {LEAST} tokens"]


def test_commands_and_an_empty_line(conversation) -> None:
    said, remarks = [], []
    talk(conversation, ["/help", "one", "/new", "two", "", "three"], said.append, remarks.append)
    assert len(said) == 2 and len(conversation.said) == 2 and conversation.said[0]["content"] == "two"
    assert "/new" in remarks[0] and "begins anew" in " ".join(remarks)
    talk(conversation, ["/exit", "four"], said.append, remarks.append)
    assert len(said) == 2


def test_a_message_too_long_does_not_end_the_conversation(conversation) -> None:
    said, remarks = [], []
    talk(conversation, ["x" * 5000, "one"], said.append, remarks.append)
    assert len(said) == 1 and "shorter" in remarks[0]


def test_an_encoder_cannot_be_talked_with(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        open_model(str(build("bert", tmp_path / "bert").path))
    with pytest.raises(UserError, match="no base model"):
        open_model("no-such-model")


def test_the_command_reads_a_pipe(folder, monkeypatch, capsys) -> None:
    from metier.cli import app

    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
    app(["chat", "--model", str(folder), "--tokens", "4", "--device", "cpu"], standalone_mode=False)
    answers = capsys.readouterr()
    assert answers.out.count("\n") >= 2 and "/exit" not in answers.err  # no words for a person where none sits
    app(["chat", "one", "-m", str(folder), "--tokens", "4", "--device", "cpu"], standalone_mode=False)
    assert capsys.readouterr().out.startswith(answers.out.split("\n")[0])


def test_importing_it_stays_quick() -> None:
    code = "import sys, metier.conversation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
