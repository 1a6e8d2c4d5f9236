"""Nothing of the original texts in a prepared set that is de-identified, whatever else the recipe does with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metier import registry, tables
from metier.prepare.operation import Result, text_operation
from prepare.conftest import Prepared, document, run

# What is planted: a telephone, an address, a name that only its group knows, and a name of the source system's list.
PHONE, MAIL, PATIENT, LISTED = "13912345678", "ilona@kovacs-praxis.example", "欧阳锋敏", "Kovacs"
PLANTED = (PHONE, MAIL, PATIENT, LISTED)
HEADER = f"Praxis Kovacs, write to {MAIL}"
BENCH = "the patient was seen on the ward and asked when the stitches would be taken out"
SYLLABLES = [a + b for a, b in zip("bdfglmnprstvwzkl", "aeiouaeiouaeioae", strict=True)]


def letter(number: int) -> str:
    """Twenty words with an article before each, others in each letter."""
    first = SYLLABLES[number % len(SYLLABLES)]
    return " ".join(
        f"the {first}{SYLLABLES[place % 16]}{SYLLABLES[place * 7 % 13]}" for place in range(number, number + 20)
    )


def documents() -> list[dict[str, Any]]:
    """Texts that leave at each step, and some that stay; the planted words stand in texts, file names and fields."""
    source = f"{PATIENT}的来信.txt"
    note = json.dumps({"label": "a", "note": f"call {PHONE}", "split": ""})
    rows = [document(n, f"{HEADER}\nDear Dr Kovacs,\n{letter(n)}.\nCall {PHONE}.", "ab"[n % 2], group=f"G{n}",
                     source=f"post/{LISTED}-{n}.txt", title=LISTED, time=f"2024-01-{n + 1:02d}")
            for n in range(16)]  # fmt: skip
    rows += [
        document(20, f"姓名：{PATIENT}，电话{PHONE}，因胸闷入院，明日复查后再定手术。", "a", source=source, group="P1"),
        document(21, f"{PATIENT}来电", "a", source=f"{PATIENT}a.txt", group="P1"),  # too short
        document(22, f"こんにちは、{PATIENT}です。でんわは{PHONE}です。よろしくおねがいします。", "a",
                 source=f"{PATIENT}b.txt", group="P1"),  # language not wanted
        document(23, f"\ue000\ue001\ue002\ue003 {PHONE} {LISTED} \ue004\ue005\ue006\ue007", "a", source=f"{LISTED}.txt",
                 group="P1"),  # quality: garbage
        document(24, f"Kovacs rang from {PHONE} and hung up at once", "", source=f"{PATIENT}c.txt", group="P1"),
        document(25, f"refused because of {PHONE}, said {LISTED}", "b", source=f"{PATIENT}d.txt", group="P1"),
        document(26, f"dropped by the flow because of {PHONE}", "b", source=f"{PATIENT}e.txt", group="P1"),
        document(27, f"Kovacs wrote that {PHONE} is her number now and not the old one", "c", group="P1"),  # rare label
        document(28, f"Kovacs called from {PHONE} about the bill", "b", group="P1", time=f"spoke to {LISTED}"),
    ]  # fmt: skip
    rows += [dict(rows[0])]  # collected twice
    return [row | ({"metadata": note} if row["metadata"] == "{}" else {}) for row in rows]


@pytest.fixture
def plugins() -> Iterator[None]:
    """Operations of other packages that quote what they see."""

    @text_operation("test-quoting", lambda counts: "")
    def quoting(batch: Any, settings: Any, knowledge: None) -> Result:
        rows = batch.to_pylist()
        gone = [row for row in rows if row["text"].startswith("refused")]
        left = [row for row in rows if not row["text"].startswith("refused")]
        changes = [{"id": row["id"], "source": row["source"], "step": "test-quoting", "start": 0, "end": 0,
                    "before": row["text"], "after": row["text"], "reason": row["text"]} for row in left]  # fmt: skip
        return Result(tables.table(left, tables.DOCUMENTS),
                      [tables.rejection(row["source"], "prepare", "refused", row["text"], row["id"]) for row in gone],
                      changes)  # fmt: skip

    def dropping(flow: Any) -> str:
        flow.reject(lambda row: ("dropped", row.text) if row.text.startswith("dropped") else None)
        return ""

    registry.register("operation", "test-dropping")(dropping)
    yield
    for name in ("test-quoting", "test-dropping"):
        registry._entries["operation"].pop(name)


def prepared(folder: Path, **more: Any) -> Prepared:
    folder.mkdir(parents=True, exist_ok=True)
    people, target, lexicon, bench = (folder / name for name in ("people.txt", "target.txt", "words.txt", "bench.txt"))
    people.write_text("Ilona Kovacs\n", encoding="utf-8")
    target.write_text("the patient was seen on the ward\n\n患者因胸闷入院。", encoding="utf-8")
    lexicon.write_text("patient\n", encoding="utf-8")
    bench.write_text(BENCH, encoding="utf-8")
    config = {
        "min_characters": 8,
        "operations": ["test-quoting", "test-dropping"],
        "language": {"keep": ["en", "zh", "mixed"]},
        "boilerplate": {"enabled": True, "documents": 5, "share": 0.3},
        "quality": {"enabled": True},
        "correct": {"enabled": True, "lexicon": str(lexicon), "frequent": 5},
        "deidentify": {"policy": "placeholder", "names": {"dictionary": str(people)}},
        "select": {"target": [str(target)], "keep": 0.95},
        "dedup": {"remove_near": True},
        "split": {"by": "time", "without_time": "reject", "test": 0.3, "validation": 0.1},
        "decontaminate": {"action": "reject", "against": [str(bench)], "share": 0.99},
        **more,
    }
    return run(folder, documents(), config)


def everything(folder: Path) -> dict[str, str]:
    """What each file of the artifact says."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.name] = (str(tables.read(path).to_pylist()) if path.suffix == ".parquet"
                                else path.read_bytes().decode("utf-8"))  # fmt: skip
    return found


def test_no_file_of_the_artifact_holds_what_was_planted(tmp_path: Path, plugins: None) -> None:
    done = prepared(tmp_path)
    files = everything(done.path)
    assert {"examples.parquet", "rejected.parquet", "changes.parquet", "conflicts.parquet", "duplicates.parquet",
            "overlaps.parquet", "leaks.json"} == set(files)  # fmt: skip
    told = {name: [word for word in PLANTED if word in text] for name, text in files.items()}
    assert told == {name: [] for name in files}
    assert not [word for word in PLANTED if word in json.dumps(done.summary, ensure_ascii=False)]
    # The test means something only if rows left, and texts were changed, at the steps that it is about.
    assert {"same document", "too short", "language not wanted", "quality: garbage", "refused", "dropped", "no label",
            "rare label", "no time"} <= set(done.reasons())  # fmt: skip
    steps = {row["step"] for row in tables.read(done.path / "changes.parquet").to_pylist()}
    assert {"test-quoting", "boilerplate", "deidentify"} <= steps


def test_without_de_identification_lists_quote_and_name_the_file(tmp_path: Path, plugins: None) -> None:
    files = everything(prepared(tmp_path, deidentify={"policy": "off"}).path)
    assert all(word in files["rejected.parquet"] for word in (PHONE, PATIENT, LISTED))
    assert MAIL in files["changes.parquet"]


def test_the_summary_counts_kinds(tmp_path: Path, plugins: None) -> None:
    found = prepared(tmp_path).summary["deidentified"]
    assert found["documents"] >= 13
    assert found["kinds"]["phone"]["texts"] >= 13 and found["kinds"]["person"]["elsewhere"] >= 13
    assert "deidentified" not in prepared(tmp_path / "off", deidentify={"policy": "off"}).summary


ASKED = {"question": "Who is meant?", "answers": [{"text": PATIENT, "start": 3}]}
WRITTEN = {  # task -> metadata of a row whose text is the same for all: a planted name stands in each part of it
    "extract": {"questions": [ASKED]},
    "generate": {"pair": f"Where does {LISTED} live?", "answer": f"Kovacs lives in Bergen, call {PHONE}."},
    "chat": {"messages": [{"role": PATIENT, "content": "hello"}, {"role": "assistant", "content": f"call {PHONE}"}]},
    "embed": {"pair": f"Where is {LISTED}?", "negatives": [f"{LISTED} is not at {PHONE}"]},
}


@pytest.mark.parametrize("task", WRITTEN)
def test_questions_and_answers_are_covered_too(task: str, tmp_path: Path) -> None:
    """What is learned beside the text is de-identified as the text is, and no reason quotes a cell."""
    people = tmp_path / "people.txt"
    people.write_text(f"Ilona Kovacs\n{PATIENT}\n", encoding="utf-8")
    rows = [document(n, f"姓名：{PATIENT}，电话{PHONE}，第{n}床，明日复查后再定手术时间和方案。", group=f"G{n}")
            | {"metadata": json.dumps(WRITTEN[task], ensure_ascii=False)} for n in range(8)]  # fmt: skip
    for n in range(8):
        fine = {
            "extract": {"questions": [{"question": "When?", "answers": [{"text": "明日复查", "start": 8}]}]},
            "chat": {"messages": [{"role": "user", "content": f"and {SYLLABLES[n]}?"},
                                  {"role": "assistant", "content": f"call {PHONE} for {SYLLABLES[n]}"}]},
        }.get(task, WRITTEN[task])  # fmt: skip
        rows.append(document(20 + n, f"第{n}床的病人，明日复查后再定手术时间和{SYLLABLES[n]}方案，随访电话{PHONE}。",
                             group=f"H{n}") | {"metadata": json.dumps(fine, ensure_ascii=False)})  # fmt: skip
    hide = {"policy": "placeholder", "names": {"dictionary": str(people)}}
    if task == "extract":  # its answers are places in the text; a kept copy of one must not be quoted either
        hide["places"] = {"metadata": "keep"}
    done = run(tmp_path, rows, {"deidentify": hide, "dedup": {"near": False}}, {"name": task})
    assert done.examples, done.screen
    told = {name: [word for word in PLANTED if word in text] for name, text in everything(done.path).items()}
    assert told == {name: [] for name in told}
    assert not [word for word in PLANTED if word in done.screen]
    if task in ("extract", "chat"):
        assert done.rejected, "the planted rows leave with a reason, which is what must not quote them"
