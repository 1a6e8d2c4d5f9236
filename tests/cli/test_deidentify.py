"""`metier deidentify` as it is typed: the quick look, the audit there and back, and the way back from surrogates."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metier import tables
from metier.artifact import Store
from metier.prepare.deidentify.config import DeidentifyConfig
from small import Answer, rows, write_csv, write_recipe

Metier = Callable[..., Answer]


def test_a_text_with_its_findings(metier: Metier) -> None:
    answer = metier("deidentify", "患者张三，手机13800138000")
    assert answer.code == 0 and answer.out.rstrip().endswith("患者【姓名】，手机【电话】")
    assert "person" in answer.out and "phone" in answer.out
    assert "nothing was found" in metier("deidentify", "no one here").out


def test_a_file_and_surrogates(metier: Metier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", "a key for the tests, long enough")
    (tmp_path / "a.txt").write_text("call 212-555-1234 or a@b.com\n", encoding="utf-8")
    answer = metier("deidentify", "a.txt", "--policy", "surrogate", "-o", "out.txt")
    assert answer.code == 0, answer.text
    out = (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert "212-555-1234" not in out and ".example" in out
    monkeypatch.delenv("METIER_DEIDENTIFY_KEY")
    refused = metier("deidentify", "x", "--policy", "surrogate")
    assert refused.code == 2 and "need a secret key" in refused.err and "Traceback" not in refused.err


def test_surrogates_turned_back(metier: Metier, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    folder.mkdir(mode=0o700)
    line = {"after": "464-831-0921", "before": "212-555-1234", "policy": "surrogate"}
    (folder / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    answer = metier("deidentify", "reverse", "he called 464-831-0921", "--vault", folder)
    assert answer.code == 0 and "he called 212-555-1234" in answer.out
    assert metier("deidentify", "reverse", "x").code == 2


def test_audit_there_and_back(metier: Metier, tmp_path: Path) -> None:
    examples = [{"id": f"e{n}", "document_ids": [f"d{n}"], "text": f"[PERSON] {n}", "source": "a.csv", "language": "en"}
                for n in range(30)]  # fmt: skip
    identity = {
        "stage": "prepare",
        "config": {"prepare": {"deidentify": DeidentifyConfig(policy="placeholder").identity()}},
    }
    store = Store(tmp_path / "store")
    made = store.build(
        "prepare",
        identity,
        {},
        lambda out: tables.write(tables.table(examples, tables.EXAMPLES), out / "examples.parquet") or {},
    )
    sheet = tmp_path / "sheet.csv"
    drawn = metier("deidentify", "audit", made.path, "--sample", 10, "-o", sheet)
    assert drawn.code == 0 and "10 of 30 documents" in drawn.out, drawn.text
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        filled = [{**row, "missed": "none"} for row in csv.DictReader(stream)]
    assert metier("deidentify", "audit", "--answers", sheet).code == 2  # nobody has read it yet
    write_csv(sheet, filled)
    answer = metier("deidentify", "audit", "--answers", sheet)
    assert answer.code == 0 and "0 of 10 documents" in answer.out, answer.text
    audit = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert audit["fingerprint"] == made.fingerprint and audit["upper_bound"] == pytest.approx(1 - 0.05 ** (1 / 10))
    assert metier("deidentify", "audit", "no-such-run").code == 2
    assert metier("deidentify", "audit").code == 2


def test_a_demand_stops_before_training(metier: Metier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("metier.run._base", lambda recipe, context: None)
    write_csv(tmp_path / "data.csv", rows(30))
    write_recipe(tmp_path, tmp_path)
    wish = ("prepare.deidentify.policy=placeholder", "prepare.deidentify.require.max_residual=0.01")
    assert metier("prepare", "recipe.yaml", *wish).code == 0
    stopped = metier("train", "recipe.yaml", *wish)
    assert stopped.code == 2 and "no audit is named" in stopped.err, stopped.text
