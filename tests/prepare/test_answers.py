"""Rows whose answers are texts: the form of each shape, what is refused, duplicates and leaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier import tables
from metier.collect.reading import Options
from metier.collect.table import read
from metier.errors import UserError
from metier.prepare.fields import has_fields, mapped, moved, parts
from metier.prepare.normalize import clean

SUBJECTS = (
    "fees",
    "cards",
    "loans",
    "taxes",
    "rent",
    "wages",
    "shares",
    "tariffs",
    "bonds",
    "pensions",
    "grants",
    "gold",
)


def collected(*rows: dict[str, Any], columns: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Rows of the documents table, as the collect stage makes them of a file."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    found = read(data, "data.jsonl", Options(columns=columns or {})).pieces
    return [{"id": tables.digest(piece.part, piece.text), "text": piece.text, "source": f"data.jsonl{piece.part}",
             "group": piece.group, "metadata": json.dumps(piece.metadata, ensure_ascii=False)}
            for piece in found]  # fmt: skip


def about(make: Callable[[str], dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return collected(*(make(subject) for subject in SUBJECTS), **more)


def chat(*turns: str, system: str = "") -> list[dict[str, Any]]:
    """Turns of user and assistant in alternation."""
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


ITEMS = ("贷款", "汇款", "开户", "销户", "挂失", "换卡", "结汇", "购汇", "理财", "基金", "保险", "信托")
QUESTION, ANSWER = "What about {}?", "Ask the desk for {}."
SINGLE: dict[str, Callable[[str], dict[str, Any]]] = {
    "messages": lambda s: {"messages": chat(QUESTION.format(s), ANSWER.format(s))},
    "sharegpt": lambda s: {"conversations": [{"from": "human", "value": QUESTION.format(s)},
                                             {"from": "gpt", "value": ANSWER.format(s)}]},
    "alpaca": lambda s: {"instruction": QUESTION.format(s), "input": "", "output": ANSWER.format(s)},
    "prompt and completion": lambda s: {"prompt": QUESTION.format(s), "completion": ANSWER.format(s)},
    "question and answer": lambda s: {"question": QUESTION.format(s), "answer": ANSWER.format(s)},
}  # fmt: skip


@pytest.mark.parametrize("shape", SINGLE)
def test_every_shape_of_one_question_has_one_form(shape: str, stage: Any) -> None:
    done = stage(about(SINGLE[shape]), task={"name": "generate"})
    assert {(row["text"], row["pair"], row["answer"]) for row in done.examples} == {
        ("", QUESTION.format(s), ANSWER.format(s)) for s in SUBJECTS
    }
    done = stage(about(SINGLE[shape]), task={"name": "chat"})
    assert {(row["text"], row["messages"], row["answer"], row["tools"]) for row in done.examples} == {
        (QUESTION.format(s), json.dumps(chat(QUESTION.format(s))), ANSWER.format(s), "") for s in SUBJECTS
    }


def test_instruction_and_input_are_question_and_text(stage: Any) -> None:
    rows = about(lambda s: {"instruction": "Sum\u200b up.", "input": f"Long words about {s}.", "output": f"{s}!"})
    done = stage(rows, task={"name": "generate"})
    assert {(row["text"], row["pair"], row["answer"]) for row in done.examples} == {
        (f"Long words about {s}.", "Sum up.", f"{s}!") for s in SUBJECTS
    }
    done = stage(rows, task={"name": "chat"})
    assert json.loads(done.examples[0]["messages"])[0]["content"].startswith("Sum up.\n\nLong words about ")


def test_columns_that_the_recipe_names(stage: Any) -> None:
    rows = about(lambda s: {"note": f"A note on {s}.", "kind": f"SECTION {s}", "sum": f" On {s}. "},
                 columns={"text": "note", "answer": "sum", "pair": "kind"})  # fmt: skip
    done = stage(rows, task={"name": "generate"})
    assert {(row["text"], row["pair"], row["answer"]) for row in done.examples} == {
        (f"A note on {s}.", f"SECTION {s}", f"On {s}.") for s in SUBJECTS
    }


def test_a_conversation_is_one_example_with_all_its_answers(stage: Any) -> None:
    def make(s: str) -> dict[str, Any]:
        turns = chat(f"hello {s}", "yes?", f"what of {s}?", f"enough of {s}", "thanks", system="You are a clerk.")
        turns[2]["loss"] = False
        return {"messages": turns, "tools": [{"type": "function", "function": {"name": s}}]}

    done = stage(about(make), task={"name": "chat"})
    row = next(row for row in done.examples if "fees" in row["answer"])
    assert row["answer"] == "enough of fees" and row["text"] == "hello fees\n\nyes?\n\nwhat of fees?"
    assert json.loads(row["messages"]) == [*make("fees")["messages"][:4]]
    assert json.loads(row["tools"])[0]["function"]["name"] == "fees"
    assert "12 turns behind the last answer" in " ".join(done.summary["warnings"])
    step = next(step for step in done.summary["funnel"] if step["step"] == "task")
    assert step["note"] == "12 conversations with 12 answers to learn"


@pytest.mark.parametrize(
    ("turns", "reason", "detail"),
    [
        (chat("hello there"), "no answer", "no turn of the assistant"),
        (chat("hello there", " "), "empty turn", "turn 2, assistant, says nothing"),
        ([*chat("hello"), *chat("again", "yes")], "turns out of order", "turn 2, user, stands behind user"),
        ([{"role": "assistant", "content": "hello"}], "turns out of order", "turn 1, assistant, stands at the"),
        ([*chat("a", "b"), {"role": "system", "content": "x"}], "turns out of order", "turn 3, system"),
        ([*chat("a"), {"role": "assistant", "content": "b", "loss": False}], "no answer", "not to be learned"),
    ],
)  # fmt: skip
def test_malformed_conversations_leave_with_their_reason(turns: Any, reason: str, detail: str, stage: Any) -> None:
    good = about(SINGLE["messages"])
    done = stage([*good, *collected({"messages": turns})], task={"name": "chat"})
    assert done.reasons() == {reason: 1} and detail in done.rejected[0]["detail"]


def test_calls_of_tools_are_part_of_the_conversation(stage: Any) -> None:
    def make(s: str) -> dict[str, Any]:
        call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": s}}]}
        result = {"role": "tool", "content": "5 %", "name": "look"}
        return {"messages": [*chat(f"rate of {s}"), call, result, {"role": "assistant", "content": f"{s}: 5 %"}]}

    row = stage(about(make), task={"name": "chat"}).examples[0]
    turns = json.loads(row["messages"])
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool"] and turns[2]["name"] == "look"
    assert turns[1]["tool_calls"][0]["function"]["name"] == "look" and row["answer"].endswith(": 5 %")


def test_preferences_of_whole_transcripts(stage: Any) -> None:
    def make(s: str) -> dict[str, Any]:
        start = f"\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: about {s}\n\nAssistant:"
        return {"chosen": f"{start} I will look at {s}.", "rejected": f"{start} No."}

    apart = {"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
             "rejected": "\n\nHuman: a\n\nAssistant: x\n\nHuman: y\n\nAssistant: z"}  # fmt: skip
    done = stage([*about(make), *collected(apart)], task={"name": "prefer"})
    row = next(row for row in done.examples if "fees" in row["chosen"])
    assert (row["chosen"], row["rejected"]) == ("I will look at fees.", "No.")
    assert json.loads(row["messages"]) == chat("hi", "yes?", "about fees")
    assert done.reasons() == {"no question": 1}


@pytest.mark.parametrize("prompt", ["plain", "messages"])
def test_preferences_with_a_prompt(prompt: str, stage: Any) -> None:
    def make(s: str) -> dict[str, Any]:
        if prompt == "plain":
            return {"prompt": f"on {s}", "chosen": f"good {s}", "rejected": f"bad {s}"}
        return {"prompt": chat(f"on {s}"), "chosen": [{"role": "assistant", "content": f"good {s}"}],
                "rejected": [{"role": "assistant", "content": f"bad {s}"}]}  # fmt: skip

    done = stage(about(make), task={"name": "prefer"})
    assert {(row["messages"], row["chosen"], row["rejected"]) for row in done.examples} == {
        (json.dumps(chat(f"on {s}")), f"good {s}", f"bad {s}") for s in SUBJECTS
    }


def test_a_preference_and_its_reverse_are_a_conflict(stage: Any) -> None:
    rows = [{"prompt": f"on {s}", "chosen": f"good {s}", "rejected": f"bad {s}"} for s in SUBJECTS]
    rows.append({"prompt": "on fees", "chosen": "bad fees", "rejected": "good fees"})
    assert stage(collected(*rows), task={"name": "prefer"}).reasons() == {"conflicting label": 2}


def test_several_answers_to_one_question_stay_and_stay_together(stage: Any) -> None:
    rows = [
        {"question": f"What about {s}?", "answer": f"{a} {s}."} for s in SUBJECTS for a in ("Forget", "By law, every")
    ]
    rows.append({"question": "WHAT about fees?", "answer": "Forget fees."})  # an exact duplicate
    done = stage(collected(*rows), task={"name": "generate"})
    assert len(done.examples) == 24 and done.reasons() == {} and done.conflicts == []
    assert all(len(splits) == 1 for splits in done.sides("pair").values())
    assert sum(len(row["document_ids"]) for row in done.examples) == 25


def test_a_system_prompt_makes_no_duplicates(stage: Any) -> None:
    system = "You are a careful clerk of a bank, you never promise anything, and you answer in one sentence. " * 5
    done = stage(about(lambda s: {"messages": chat(s, f"no {s} now", system=system)}), task={"name": "chat"})
    assert done.summary["duplicates"] == {"exact": 0, "near": 0}
    assert len({row["cluster"] for row in done.examples}) == len(SUBJECTS)
    assert json.loads(done.examples[0]["messages"])[0]["content"] == system.strip()


def test_long_answers_that_stand_twice_stay_on_one_side(stage: Any) -> None:
    leaflet = "请携带本人有效身份证件、近三个月银行流水以及单位开具的收入证明到柜台办理。"
    rows = [{"question": f"如何办理{i}号业务，需要准备什么？{s}",
             "answer": leaflet if i < 2 else f"{s}第{i}条规定如此。"} for i, s in enumerate(ITEMS)]  # fmt: skip
    done = stage(collected(*rows), task={"name": "generate"})
    twice = [row for row in done.examples if row["answer"] == leaflet]
    assert len(twice) == 2 and len({row["cluster"] for row in twice}) == 1 == len({row["split"] for row in twice})


def test_the_same_question_leaves_train_where_the_test_set_is_official(stage: Any) -> None:
    rows = [{"question": f"What about {s}?", "answer": f"A {s}.", "split": "test" if i < 4 else "train"}
            for i, s in enumerate(SUBJECTS)]  # fmt: skip
    rows.append({"question": "What about fees?", "answer": "Another word on it.", "split": "train"})
    assert stage(collected(*rows), task={"name": "generate"}).reasons() == {"in the test set": 1}


def test_an_answer_of_the_test_set_inside_a_training_answer_is_found(stage: Any) -> None:
    secret = "the committee shall meet on the first Monday of every month at nine in the old town hall"
    rows = [{"question": f"What about {s}?", "answer": f"A word on {s}.", "split": "test" if i < 4 else "train"}
            for i, s in enumerate(SUBJECTS)]  # fmt: skip
    rows += [
        {"question": "When do they meet?", "answer": secret, "split": "test"},
        {"question": "Tell me all.", "answer": f"All of it: {secret}, I believe, and so on.", "split": "train"},
    ]
    done = stage(collected(*rows), task={"name": "generate"}, config={"decontaminate": {"action": "reject"}})
    assert done.reasons() == {"shares an evaluation text": 1}


def test_what_is_replaced_in_the_text_is_replaced_in_questions_and_answers(stage: Any) -> None:
    def make(s: str) -> dict[str, Any]:
        turns = chat(f"Patient name: Tom Sawyer. Tel: +1 415 555 0132. About {s}?", f"Tom Sawyer pays for {s}.",
                     "And who else?", f"Nobody but Tom Sawyer, for {s}.")  # fmt: skip
        return {"messages": turns}

    done = stage(about(make), {"deidentify": {"policy": "placeholder"}}, {"name": "chat"})
    assert len(done.examples) == len(SUBJECTS) and done.reasons() == {}
    for row in done.examples:
        everything = json.dumps(row, ensure_ascii=False)
        assert "Sawyer" not in everything and "555" not in everything
        assert row["answer"].startswith("Nobody but [") and len(json.loads(row["messages"])) == 3


def test_plain_texts_are_learned_as_they_are(stage: Any) -> None:
    done = stage(about(lambda s: {"text": f"Section 1. On {s}.\n\nSection 2."}), task={"name": "pretrain"})
    assert {row["text"] for row in done.examples} == {f"Section 1. On {s}.\n\nSection 2." for s in SUBJECTS}
    assert done.summary["classes"] == [] and done.summary["splits"]["test"] > 0


def test_nothing_to_learn_from_says_what_to_bring(stage: Any) -> None:
    with pytest.raises(UserError, match="neither a conversation nor an answer") as error:
        stage(about(lambda s: {"text": f"only words on {s}"}), task={"name": "generate"})
    assert "metier inspect" in str(error.value.fix)
    with pytest.raises(UserError, match="no chosen and rejected") as error:
        stage(about(SINGLE["messages"]), task={"name": "prefer"})
    assert "`chosen`" in str(error.value.fix)


TEXTS = st.text(st.sampled_from("ab 。\n\u200b\u00adz"), min_size=1, max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_fields_stay_true_through_repair(texts: list[str]) -> None:
    places, at = [], 0
    for number, text in enumerate(texts):
        places.append({"path": str(number), "start": at, "end": at + len(text)})
        at += len(text) + 2
    text, metadata = mapped("\n\n".join(texts), json.dumps({"fields": places}), clean)
    assert has_fields(metadata)
    found = parts(text, json.loads(metadata))
    wanted = {str(number): clean(text) for number, text in enumerate(texts) if clean(text)}
    assert (found or {}) == wanted


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_fields_stay_true_through_replacements(texts: list[str], data: st.DataObject) -> None:
    places, changes, wanted, at = [], [], [], 0
    for number, text in enumerate(texts):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        after = data.draw(st.sampled_from(["", "[NAME]", "x"]))
        places.append({"path": str(number), "start": at, "end": at + len(text)})
        changes.append((at + start, at + end, after))
        wanted.append(text[:start] + after + text[end:])
        at += len(text) + 2
    found = parts("\n\n".join(wanted), {"fields": moved(places, changes)})
    assert found is not None and list(found.values()) == wanted


def test_places_that_are_not_true_are_refused(stage: Any) -> None:
    rows = about(SINGLE["messages"])
    broken = json.loads(rows[0]["metadata"])
    broken["fields"][1]["start"] += 1
    rows[0]["metadata"] = json.dumps(broken)
    assert stage(rows, task={"name": "chat"}).reasons() == {"fields not in the text": 1}


@pytest.mark.realdata
def test_real_preferences(stage: Any) -> None:
    import gzip
    import os

    path = Path(os.environ.get("METIER_DATA_MIRROR", "")) / "general/hh-rlhf-harmless/harmless-base/test.jsonl.gz"
    if not path.is_file():
        pytest.skip("METIER_DATA_MIRROR does not name general/hh-rlhf-harmless")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream][:400]
    done = stage(collected(*rows), {"dedup": {"near": False}}, {"name": "prefer"})
    assert (
        len(done.examples) > 350 and sum(len(row["document_ids"]) for row in done.examples) + len(done.rejected) == 400
    )


def test_questions_about_one_document_are_a_row_each_and_stay_together(stage: Any) -> None:
    rows = [{"context": f"The {s} rose by {i} % in the year.", "question": f"{word} about {s}?",
             "answers": {"text": [f"{i} %"], "answer_start": [len(f"The {s} rose by ")]}}
            for i, s in enumerate(SUBJECTS) for word in ("What", "How much")]  # fmt: skip
    rows.append({"context": "Nothing.", "question": "Who?", "answers": {"text": [], "answer_start": []}})
    done = stage(collected(*rows), task={"name": "generate"})
    assert len(done.examples) == 24 and done.reasons() == {"no answer": 1}
    assert all(len(splits) == 1 for splits in done.sides("text").values())
    assert {(row["pair"], row["answer"]) for row in done.examples} >= {
        ("What about fees?", "0 %"),
        ("How much about cards?", "1 %"),
    }
