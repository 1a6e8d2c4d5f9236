"""Shapes of data sets: each is recognised, becomes one form, and says which row and field is wrong."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.collect import readers, spans
from metier.collect.reading import Options, Piece, Reading

from .samples import mirror


def lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def read(data: bytes, name: str = "a.jsonl", **options: Any) -> Reading:
    return readers.read(data, name, Options(**options))


def fields(piece: Piece) -> dict[str, str]:
    return {item["path"]: piece.text[item["start"] : item["end"]] for item in piece.metadata.get("fields", [])}


CHAT = [
    {"role": role, "content": text} for role, text in (("system", "你是客服"), ("user", "退款"), ("assistant", "好的"))
]
SHARE = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]

ROWS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "messages": ({"messages": CHAT}, "你是客服\n\n退款\n\n好的", {"messages": CHAT}),
    "sharegpt": (
        {"conversations": SHARE}, "hi\n\nhello",
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]},
    ),
    "alpaca": (
        {"instruction": "Translate", "input": "cat", "output": "猫"}, "Translate\n\ncat\n\n猫",
        {"prompt": "Translate\n\ncat", "completion": "猫", "instruction": "Translate", "input": "cat"},
    ),
    "prompt-completion": ({"prompt": "2+2=", "completion": "4"}, "2+2=\n\n4", {"prompt": "2+2=", "completion": "4"}),
    "question-answer": (
        {"question": "Who pays?", "answer": "The bank"}, "Who pays?\n\nThe bank",
        {"question": "Who pays?", "answer": "The bank", "prompt": "Who pays?", "completion": "The bank"},
    ),
    "preference": (
        {"prompt": "p", "chosen": "good", "rejected": "bad"}, "p\n\ngood\n\nbad",
        {"prompt": "p", "chosen": "good", "rejected": "bad"},
    ),
    "pairs": ({"premise": "A cat", "hypothesis": "An animal", "label": "entailment"}, "A cat\n\nAn animal",
              {"first": "A cat", "second": "An animal", "label": "entailment"}),
    "spans": (
        {"text": "Dr Li in Bonn",
         "entities": [{"start": 9, "end": 13, "label": "PLACE"}, {"start": 3, "end": 5, "label": "NAME"}]},
        "Dr Li in Bonn",
        {"spans": [{"start": 3, "end": 5, "label": "NAME"}, {"start": 9, "end": 13, "label": "PLACE"}]},
    ),
    "tokens": (
        {"tokens": ["Dr", "Li", "left"], "ner_tags": ["O", "B-NAME", "O"]}, "Dr Li left",
        {"tokens": ["Dr", "Li", "left"], "tags": ["O", "B-NAME", "O"], "offsets": [[0, 2], [3, 5], [6, 10]],
         "spans": [{"start": 3, "end": 5, "label": "NAME"}]},
    ),
    "squad": (
        {"context": "The fee is 5 euros.", "question": "How much?", "id": "q1",
         "answers": {"text": ["5 euros"], "answer_start": [11]}},
        "The fee is 5 euros.",
        {"questions": [{"id": "q1", "question": "How much?", "impossible": False,
                        "answers": [{"text": "5 euros", "start": 11}]}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("shape", ROWS)
def test_each_shape_becomes_its_one_form(shape: str, form: str) -> None:
    row, text, expected = ROWS[shape]
    if form == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row]), stream)
        reading = read(stream.getvalue(), "a.parquet")
    else:
        reading = read(lines(row) if form == "jsonl" else json.dumps([row]).encode(), f"a.{form}")
    (piece,) = reading.pieces
    assert piece.text == text and piece.metadata["shape"] == shape and not reading.refused
    assert {key: piece.metadata[key] for key in expected} == expected
    assert all(value == text[at["start"] : at["end"]] for at, value in zip(
        piece.metadata.get("fields", []), fields(piece).values(), strict=True))  # fmt: skip
    assert f"taken for '{shape}'" in reading.warnings[0]


def test_shapes_in_csv_cells_as_json_or_as_python_writes_it() -> None:
    data = f'id,messages\n1,"{json.dumps(CHAT).replace(chr(34), chr(34) * 2)}"\n2,"{CHAT}"\n'.encode()
    reading = read(data, "a.csv")
    assert [piece.metadata["messages"] for piece in reading.pieces] == [CHAT, CHAT]
    assert [piece.metadata["id"] for piece in reading.pieces] == ["1", "2"]


def test_tables_with_a_text_and_a_label_stay_what_they_were() -> None:
    for row in (
        {"question": "q?", "answer": "a", "label": "x"}, {"text": "t", "label": "x"},
        {"input": "i", "output": "o", "label": "x"}, {"text": "t", "tags": ["a", "b"]},
    ):  # fmt: skip
        piece = read(lines(row, row)).pieces[0]
        assert "shape" not in piece.metadata and "fields" not in piece.metadata
    piece = read(lines(*[{"prompt": "p", "completion": "c"}]), columns={"text": "prompt"}).pieces[0]
    assert piece.text == "p" and piece.metadata == {"encoding": "utf-8", "completion": "c"}


def test_other_columns_keep_their_roles_and_names() -> None:
    row = {"instruction": "i", "output": "o", "split": "dev", "patient_id": "p1", "fields": "mine", "source": "x"}
    piece = read(lines(row)).pieces[0]
    assert piece.group == "p1" and piece.metadata["split"] == "validation" and piece.metadata["source"] == "x"
    assert piece.metadata["column:fields"] == "mine" and piece.metadata["fields"][0]["path"] == "instruction"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("messages", {"messages": [{"role": "user", "content": "a"}, {"role": "robot", "content": "b"}]},
     "messages[1].role: is 'robot'; known: assistant, system, tool, user"),
    ("messages", {"messages": [{"role": "user"}]}, "messages[0].content: is missing"),
    ("messages", {"messages": []}, "messages: holds no turn"),
    ("messages", {"messages": "hello"}, "messages: should be a list of turns, and is text"),
    ("sharegpt", {"conversations": [{"value": "x"}]}, "conversations[0].from: is missing"),
    ("alpaca", {"instruction": "", "output": "x"}, "instruction: is empty"),
    ("alpaca", {"instruction": "x", "input": ["y"], "output": "z"}, "input: should be text, and is a list"),
    ("prompt-completion", {"prompt": "x"}, "completion: is missing"),
    ("preference", {"prompt": "p", "chosen": "same", "rejected": "same"}, "rejected: is the same as 'chosen'"),
    ("preference", {"prompt": "p", "chosen": "c", "rejected": [{"role": "user", "content": "x"}]},
     "rejected: should have the form of 'chosen'"),
    ("spans", {"text": "abc", "entities": [{"start": 0, "end": 9, "label": "X"}]},
     "entities[0].end: is 9, and the text has 3 characters"),
    ("spans", {"text": "abc", "entities": [{"start": 2, "end": 2, "label": "X"}]},
     "entities[0].end: is 2, not after the start 2"),
    ("spans", {"text": "abc", "entities": [{"start": 0, "end": 2, "label": "X", "text": "bc"}]},
     "entities[0]: at 0 to 2 stands 'ab', not 'bc'"),
    ("spans", {"text": "abc", "entities": [{"start": "0", "end": 2, "label": "X"}]},
     "entities[0].start: should be a whole number, and is '0'"),
    ("spans", {"text": "abc", "entities": [{"start": 0, "end": 2}]}, "entities[0].label: is missing"),
    ("tokens", {"tokens": ["a", "b"], "ner_tags": ["O"]}, "ner_tags: has 1 entries for 2 tokens"),
    ("tokens", {"tokens": ["a"], "ner_tags": ["Q-X"]}, "ner_tags[0]: is 'Q-X'; tags look like O, B-NAME, I-NAME"),
    ("tokens", {"tokens": ["a", " "], "ner_tags": ["O", "O"]}, "tokens[1]: should be a word, and is ' '"),
    ("squad", {"context": "The fee is 5.", "question": "?", "answers": {"text": ["5"], "answer_start": [3]}},
     "answers[0].answer_start: at 3 stands ' ', not '5'"),
    ("squad", {"context": "", "question": "?", "answers": ["x"]}, "context: is missing or empty"),
    ("pairs", {"premise": "x", "hypothesis": None}, "hypothesis: is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "wrong", "what"), WRONG, ids=[item[2] for item in WRONG])
def test_a_row_that_does_not_fit_is_told_with_its_field(shape: str, wrong: dict[str, Any], what: str) -> None:
    good = ROWS[shape][0]
    reading = read(lines(good, wrong, good))
    assert [(item.part, item.reason, item.detail) for item in reading.refused] == [
        ("#2", "malformed row", f"line 2, {what}")]  # fmt: skip
    assert reading.pieces and reading.pieces[-1].metadata["shape"] == shape


# -- SQuAD -------------------------------------------------------------------------------------------------------------


def test_nested_squad_has_one_document_a_context_and_tells_wrong_answers() -> None:
    context = "客户应当在三十日内支付年费。"
    qas = [
        {
            "id": "1",
            "question": "多久？",
            "answers": [{"text": "三十日", "answer_start": 5}, {"text": "三十日", "answer_start": 5}],
        },
        {"id": "2", "question": "谁？", "answers": [{"text": "客户", "answer_start": 1}]},
        {"id": "3", "question": "何地？", "answers": [], "is_impossible": True},
    ]
    article = {"title": "年费", "paragraphs": [{"context": context, "qas": qas}, {"context": "第二段。", "qas": []}]}
    reading = read(json.dumps({"version": "1", "data": [article]}).encode(), "dev.json")
    assert [(piece.part, piece.title, piece.text) for piece in reading.pieces] == [
        ("#1.1", "年费", context), ("#1.2", "年费", "第二段。")]  # fmt: skip
    asked = reading.pieces[0].metadata["questions"]
    assert [(q["id"], q["answers"], q["impossible"]) for q in asked] == [
        ("1", [{"text": "三十日", "start": 5}], False), ("3", [], True)]  # fmt: skip
    assert [(r.part, r.detail) for r in reading.refused] == [
        ("#1.1", "row 1, paragraphs[0].qas[1].answers[0].answer_start: at 1 stands '户应', not '客户'")]  # fmt: skip


def test_flat_questions_about_one_context_become_one_document() -> None:
    row = ROWS["squad"][0]
    other = {**row, "question": "Which currency?", "answers": {"text": ["euros"], "answer_start": [13]}, "id": "q2"}
    reading = read(lines(row, other, {**row, "context": "Other 5 euros.", "answers": {"text": [], "answer_start": []}}))
    assert [len(piece.metadata["questions"]) for piece in reading.pieces] == [2, 1]
    assert reading.pieces[0].metadata["rows"] == [1, 2] and reading.pieces[1].metadata["questions"][0]["impossible"]


def test_transcripts_of_preferences_are_parted_at_the_last_answer() -> None:
    start = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: pay\n\nAssistant:"
    piece = read(lines({"chosen": f"{start} I will", "rejected": f"{start} never"})).pieces[0]
    turns = [("user", "hi"), ("assistant", "yes?"), ("user", "pay")]
    assert [(turn["role"], turn["content"]) for turn in piece.metadata["prompt"]] == turns
    assert (piece.metadata["chosen"], piece.metadata["rejected"]) == ("I will", "never")
    chats = {"chosen": [*SHARE, {"from": "human", "value": "x"}, {"from": "gpt", "value": "a"}],
             "rejected": [*SHARE, {"from": "human", "value": "x"}, {"from": "gpt", "value": "b"}]}  # fmt: skip
    piece = read(lines(chats)).pieces[0]
    assert [len(piece.metadata[name]) for name in ("prompt", "chosen", "rejected")] == [3, 1, 1]


# -- entities ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        [{"start": 0, "end": 2, "label": "NAME"}], [[0, 2, "NAME"]], [["NAME", 0, 2]],
        [{"start_offset": 0, "end_offset": 2, "label": "NAME"}],
        {"NAME": {"张三": [[0, 1]]}}, {"NAME": {"张三": [[0, 2]]}},
        [{"entity_type": "NAME", "entity_value": "张三", "start_position": 0, "end_position": 2}],
        [{"start": 0, "end": 2, "labels": ["NAME"], "text": "张三"}],
    ],
)  # fmt: skip
def test_forms_of_spans(cell: Any) -> None:
    piece = read(lines({"text": "张三付款", "entities": cell})).pieces[0]
    assert piece.metadata["spans"] == [{"start": 0, "end": 2, "label": "NAME"}]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-X I-X O B-X", [(0, 2, "X"), (3, 4, "X")]), ("I-X I-X O I-Y", [(0, 2, "X"), (3, 4, "Y")]),
        ("B-X B-X I-X I-Y", [(0, 1, "X"), (1, 3, "X"), (3, 4, "Y")]), ("S-X B-Y E-Y O", [(0, 1, "X"), (1, 3, "Y")]),
        ("B-X M-X E-X S-X", [(0, 3, "X"), (3, 4, "X")]), ("B-X E-X E-X O", [(0, 2, "X"), (2, 3, "X")]),
        ("O O O O", []), ("U-X B-X L-X O", [(0, 1, "X"), (1, 3, "X")]),
    ],
)  # fmt: skip
def test_tags_of_every_scheme_become_spans(tags: str, expected: list[tuple[int, int, str]]) -> None:
    _, metadata = spans.read_tags(["甲", "乙", "丙", "丁"], tags.split())
    assert [(span["start"], span["end"], span["label"]) for span in metadata["spans"]] == expected


@given(st.lists(st.text(alphabet="ab甲，.", min_size=1, max_size=4), min_size=1, max_size=12))
def test_offsets_lead_back_to_the_tokens(tokens: list[str]) -> None:
    text, offsets = spans.assemble(tokens)
    assert [text[start:end] for start, end in offsets] == tokens


def test_numbered_tags_take_their_names_from_the_file() -> None:
    table = pa.table({"tokens": [["Li", "left"]], "ner_tags": [[1, 0]]})
    features = {"info": {"features": {"ner_tags": {"feature": {"names": ["O", "B-NAME"], "_type": "ClassLabel"}}}}}
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), stream)
    piece = read(stream.getvalue(), "a.parquet").pieces[0]
    assert piece.metadata["tags"] == ["B-NAME", "O"] and piece.metadata["spans"][0]["label"] == "NAME"
    reading = read(lines({"tokens": ["Li", "left"], "ner_tags": [1, 0]}))
    assert "spans" not in reading.pieces[0].metadata and any("numbers without names" in w for w in reading.warnings)


CONLL = "-DOCSTART- -X- O O\n\nDr NNP O O\nLi NNP O B-NAME\nleft VBD O O\n\n张\tB-NAME\n三\tI-NAME\n付\tO\n款\tO\n"


@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.txt", "a.tsv"])
def test_conll_by_ending_or_by_content(name: str) -> None:
    reading = read(CONLL.encode(), name)
    assert [(piece.part, piece.group, piece.text) for piece in reading.pieces] == [
        ("#1", "doc 1", "Dr Li left"), ("#2", "doc 1", "张三付款")]  # fmt: skip
    assert [piece.metadata["spans"] for piece in reading.pieces] == [
        [{"start": 3, "end": 5, "label": "NAME"}], [{"start": 0, "end": 2, "label": "NAME"}]]  # fmt: skip


def test_a_broken_line_costs_its_sentence() -> None:
    reading = read(b"Li\tB-X\nleft\tO\n\nLi B-X\nbroken\n\nAnn\tB-\n\nBob\tB-X\n", "a.conll")
    assert [piece.text for piece in reading.pieces] == ["Li left", "Bob"]
    assert [(item.part, item.detail) for item in reading.refused] == [
        ("#2", "line 5: a token and a tag are needed, this is 'broken'"),
        ("#3", "line 7: 'B-' is no tag; tags look like O, B-NAME, I-NAME"),
    ]


def test_other_tables_are_not_taken_for_conll() -> None:
    reading = read(b"text\tlabel\nI like it\tO\nI do not\tO\nfine\tO\nbad\tO\nso so\tO\n", "a.tsv")
    assert len(reading.pieces) == 5 and reading.pieces[0].metadata["label"] == "O"
    assert len(read(b"To be O\nor not to be O\nthat is it O\nthe question O\nis O\nit O\n", "a.txt").pieces) == 1


# -- formats -----------------------------------------------------------------------------------------------------------


def test_arrow_feather_and_orc() -> None:
    from pyarrow import feather, orc

    table = pa.table({"text": ["一", "two"], "label": ["x", "y"]})
    files: dict[str, bytes] = {}
    for name, opened in (("a.arrow", pa.ipc.new_file), ("a.arrows", pa.ipc.new_stream)):
        sink = pa.BufferOutputStream()
        with opened(sink, table.schema) as writer:
            writer.write_table(table)
        files[name] = sink.getvalue().to_pybytes()
    for name, write in (("a.feather", feather.write_feather), ("a.orc", orc.write_table)):
        stream = io.BytesIO()
        write(table, stream)
        files[name] = stream.getvalue()
    for name, data in files.items():
        assert [(p.text, p.metadata["label"]) for p in read(data, name).pieces] == [("一", "x"), ("two", "y")], name
        for cut in (8, len(data) // 2, len(data) - 3):
            with pytest.raises(readers.Unreadable) as caught:
                read(data[:cut], name)
            assert caught.value.reason in ("damaged", "empty"), (name, cut)


def test_objects_one_after_another_over_several_lines() -> None:
    data = "\n".join(json.dumps({"text": f"row {number}", "label": "x"}, indent=2) for number in range(3)).encode()
    assert [piece.text for piece in read(data, "a.json").pieces] == ["row 0", "row 1", "row 2"]
    reading = read(data + b'\n{"text": "cut', "a.json")
    assert len(reading.pieces) == 3 and "the rest was not read" in reading.refused[0].detail
    assert len(read(lines({"text": "a", "label": "x"}, {"text": "b", "label": "y"}), "a.txt").pieces) == 2


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("path", "shape", "documents", "refused"),
    [
        ("general/gsm8k/test.jsonl", "question-answer", 1319, 0),
        ("general/cmrc2018-zh/cmrc2018_dev.json", "squad", 848, 3),
        ("health/huatuo-zh/data/llama_data.json", "alpaca", 8658, 0), ("deid/cluener-zh/dev.json", "spans", 1343, 0),
        ("deid/presidio-research/data/synth_dataset_v2.json", "spans", 1500, 0),
        ("health/ncbi-disease/devel.tsv", "tokens", 923, 0), ("health/bc5cdr/BC5CDR-IOB/devel.tsv", "tokens", 4581, 0),
        ("general/hh-rlhf-harmless/harmless-base/test.jsonl.gz", "preference", 2312, 0),
    ],
)  # fmt: skip
def test_real_data_sets(path: str, shape: str, documents: int, refused: int) -> None:
    file = mirror() / path
    reading = read(file.read_bytes(), file.name)
    assert {piece.metadata["shape"] for piece in reading.pieces} == {shape}
    assert (len(reading.pieces), len(reading.refused)) == (documents, refused)
