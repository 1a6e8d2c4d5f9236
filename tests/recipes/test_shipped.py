"""The recipes that come with the package: each can be read, its criteria can be meant, its data is there or named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.recipes.test_writing import NAMES as WRITING

from metier.checking import check
from metier.collect.download import SCHEME
from metier.collect.stage import find_inputs
from metier.console import Console
from metier.evaluate.criteria import check_config
from metier.finding import find_recipe, shipped_names
from metier.recipe import load, parse
from metier.run import default_context as context_of
from metier.run import run
from small import NO_NET, Answer, process

Metier = Callable[..., Answer]
QUICKSTART = "quickstart/bank-messages"


def test_the_names_are_those_that_documents_use() -> None:
    assert {QUICKSTART, "finance/customer-service"} <= set(shipped_names())


@pytest.mark.parametrize("name", shipped_names())
def test_each_recipe_can_be_run(name: str) -> None:
    recipe, base = find_recipe(name)
    check(recipe)
    assert check_config(recipe.evaluate, recipe.task) and recipe.evaluate.accept  # criteria were written before the run
    assert recipe.description and recipe.name == name.replace("/", "-")
    source = (base / f"{name.split('/')[1]}.yaml").read_text(encoding="utf-8")
    assert source.startswith("# ")  # says what it is
    flat = " ".join(source.replace("#", " ").split())
    paths = [source.path for source in recipe.collect.sources]
    if recipe.collect.index:
        paths.append(recipe.collect.index.path)
    for path in paths:
        assert not os.path.isabs(path) and ".." not in Path(path).parts
        assert path.startswith(SCHEME) or (base / path).exists() or any(base.glob(path)), path
    for one in recipe.collect.sources:
        if one.path.startswith(SCHEME):
            assert len(one.sha256) == 64 and one.license
            # Published in another form: the comment says where it comes from, and what to put in its place.
            told = "folder that METIER_DATA_MIRROR names" in flat or "no public address" in source
            assert one.url.startswith("https://") or told
        else:
            assert not one.url


@pytest.mark.parametrize("name", shipped_names())
def test_each_recipe_says_nothing_twice(name: str) -> None:
    """A shipped recipe holds no key that only repeats a default, other than those a reader looks for."""
    _, base = find_recipe(name)
    data = yaml.safe_load((base / f"{name.split('/')[1]}.yaml").read_text(encoding="utf-8"))
    assert parse(data) == load(base / f"{name.split('/')[1]}.yaml")
    assert list(data)[:2] == ["name", "description"]


def test_the_embedded_example_is_the_mess_it_promises() -> None:
    recipe, base = find_recipe(QUICKSTART)
    inputs = find_inputs(recipe.collect, base)
    kinds = {Path(item.name).suffix for item in inputs.files}
    assert {".eml", ".mbox", ".csv", ".pdf", ".docx"} <= kinds and len(inputs.files) > 400
    assert inputs.index is not None and inputs.excluded


NO_NET_HERE = "import socket\nassert socket.socket.connect.__name__ == 'refuse'"


def test_quickstart_from_end_to_end_without_a_net(tmp_path: Path) -> None:
    """The demo, made small (frozen base, one epoch, beginnings of texts), in a process that can reach nothing and is
    told of no offline switch; nothing may even try."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_NET)
    work = tmp_path / "work"
    work.mkdir()
    alone = "unshare -rn"
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone.split(), "true"], check=False, capture_output=True).returncode
    ):
        alone = ""
    answer = process(
        "run", QUICKSTART, "train.method=frozen", "train.epochs=1", "train.threads=1", "train.max_length=32",
        "train.long_text=cut", "evaluate.bootstrap=200", "evaluate.accept=[accuracy >= 0.1]",
        cwd=work, code=NO_NET_HERE, before=alone, PYTHONPATH=str(site),
        ATTEMPTS=str(tmp_path / "attempts"), HF_HUB_OFFLINE="0", DO_NOT_TRACK="0",
    )  # fmt: skip
    assert answer.code == 0 and "Traceback" not in answer.text, answer.text
    assert not (tmp_path / "attempts").exists(), (tmp_path / "attempts").read_text()
    view = work / "runs" / "quickstart-bank-messages"
    results = json.loads((view / "results.json").read_text(encoding="utf-8"))
    assert results["models"]["tuned"]["accuracy"]["value"] > 3 * results["models"]["majority"]["accuracy"]["value"]
    assert results["data"]["classes"] >= 12 and results["data"]["groups"] > 50
    assert sum(results["data"]["rejected"]["collect"].values()) > 5  # the broken file and the scanned page among them
    assert "unreadable" in answer.err or "damaged" in answer.err
    page = (view / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and 'src="http' not in page and "default-src 'none'" in page
    assert str(tmp_path) not in page and str(Path.home()) + "/" not in page


@pytest.mark.realdata
def test_banking77_is_read_from_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    if not (mirror / "finance" / "banking77").is_dir():
        pytest.skip("METIER_DATA_MIRROR does not name the public data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_DATA_MIRROR", str(mirror))
    recipe, base = find_recipe("finance/customer-service", overrides=["collect.workers=1", "prepare.dedup.near=false"])
    done = run(recipe, context_of(base, Console(quiet=True)), until="prepare")
    splits = done["prepare"].summary["splits"]
    assert done["collect"].summary["documents"] == 13083 and len(done["prepare"].summary["classes"]) == 77
    assert splits["test"] >= 3050 and splits["validation"] > 400 and done["prepare"].summary["split_by"] == "column"


def test_a_mirror_that_is_not_there_says_how_to_get_the_data(
    work: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METIER_DATA_MIRROR", raising=False)
    monkeypatch.setenv("METIER_CACHE", str(work / "cache"))
    monkeypatch.setenv("METIER_OFFLINE", "1")
    answer = metier("collect", "finance/customer-service")
    assert answer.code == 2 and "Traceback" not in answer.text
    assert "METIER_OFFLINE is set" in answer.err and "METIER_DATA_MIRROR=FOLDER" in answer.err


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "folder", "documents", "note", "test"),
    [
        ("healthcare/disease-mentions", "health/ncbi-disease", 7287, "6,881 spans of 1 type", 940),
        ("healthcare/chemicals-and-diseases", "health/bc5cdr", 13938, "28,787 spans of 2 types", 4797),
        ("healthcare/chemprot", "health/chemprot", 10065, "13 labels", 3469),
        ("healthcare/pubmedqa", "health/pubmedqa", 1000, "3 labels", 500),
        ("legal/contract-nli", "legal/contract-nli", 184, "3 labels", 2091),
        ("general/cmrc2018-zh", "general/cmrc2018-zh", 1104, "4,211 questions about 1,103 groups", 3216),
        ("general/cluener-zh", "deid/cluener-zh", 12091, "", 1343),
    ],
)
def test_recipes_of_other_tasks_are_read_from_the_mirror(
    name: str, folder: str, documents: int, note: str, test: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    if not (mirror / folder).is_dir():
        pytest.skip("METIER_DATA_MIRROR does not name the public data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_DATA_MIRROR", str(mirror))
    recipe, base = find_recipe(name, overrides=["collect.workers=1", "prepare.dedup.near=false"])
    done = run(recipe, context_of(base, Console(quiet=True)), until="prepare")
    summary = done["prepare"].summary
    assert done["collect"].summary["documents"] == documents and summary["splits"]["test"] == test
    assert any(step["step"] == "task" and step["note"].startswith(note) for step in summary["funnel"])


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in shipped_names()
        if name not in WRITING and name.split("/")[0] in ("healthcare", "legal", "general")
    ],
)
def test_recipes_of_other_tasks_run_small(name: str, tiny_base: Path, work: Path) -> None:
    """The recipe with a random base and a few invented texts in place of its data, from end to end."""
    recipe, _ = find_recipe(name)
    texts = []
    for index in range(60):
        drug, split = f"{'abcdef'[index % 6]}card", "test" if index % 3 == 0 else "train"
        text = f"take {drug} for my house {index}"
        if recipe.task.name == "tag":
            spans = [{"start": 5, "end": 10, "label": kind} for kind in (["Disease", "Chemical"][index % 2],)]
            texts.append({"text": text, "spans": spans, "split": split})
        elif recipe.task.name == "extract":
            answers = {"text": [drug], "answer_start": [5]}
            texts.append({"context": text, "question": "what to take", "answers": answers, "split": split})
        elif recipe.task.name == "embed":
            texts.append({"text": f"{drug} helps my friend {index}", "pair": f"what does {drug} {index} do",
                          "group": f"g{index}"})  # fmt: skip
        elif recipe.task.pair:
            label = ["Contradiction", "Entailment"][index % 2]
            texts.append({"text": text, "pair": f"take the {label.lower()}", "label": label, "split": split})
        else:
            label = ["INHIBITOR", "AGONIST"][index % 2]
            texts.append({"text": f"<< {drug} >> {label.lower()} [[ loan ]] {index}", "label": label, "split": split})
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    columns = {role: role for role in ("text", "pair", "label", "group", "split") if role in texts[0]}
    small = recipe.model_dump(mode="json")
    small["collect"] |= {"sources": [{"path": "data.jsonl", "columns": columns}], "index": None, "workers": 1}
    small["train"] |= {"base_model": str(tiny_base), "epochs": 2, "threads": 1}
    if recipe.task.name == "embed":
        small["prepare"]["split"]["groups"] = []
        small["prepare"]["dedup"]["near"] = False
        small["train"]["max_length"] = None
    small["evaluate"] |= {"bootstrap": 200}
    done = run(parse(small), context_of(work, Console(quiet=True)))
    results = json.loads((done["evaluate"].path / "results.json").read_text(encoding="utf-8"))
    models = {"embed": 3, "extract": 3}.get(recipe.task.name, 4)
    assert results["data"]["test"] == (12 if recipe.task.name == "embed" else 20) and len(results["models"]) == models
    assert {reason["criterion"] for reason in results["verdict"]["reasons"]} == set(recipe.evaluate.accept)
