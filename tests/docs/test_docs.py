"""The documents are true: commands exist, recipes parse, links resolve, the reference is current, the plug-in runs."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from metier import recipe as recipes
from metier.cli import app
from metier.evaluate.criteria import parse as parse_criterion
from metier.finding import shipped_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HAND_MADE = [page for page in PAGES if page.parent.name != "reference"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
VARIABLE = re.compile(r"[A-Z_]+=\S*")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages."""
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """Every `metier ...` command of a page: lines of shell blocks, and code within sentences."""
    lines = [line for text in blocks(page, "sh", "bat") for line in text.splitlines()]
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    lines += [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    found = []
    for line in lines:
        words = line.split()
        while words and VARIABLE.fullmatch(words[0]):
            words = words[1:]
        if len(words) > 1 and words[0] == "metier":
            found.append(line[line.index("metier") :])
    return found


def parse(command: str) -> dict[str, Any]:
    """The parameters of a command; raises what the command line would tell the user."""
    name, *arguments = shlex.split(command.split(" > ")[0], comments=True)[1:]
    if name.startswith("-"):
        assert name == "--help", command
        return {}
    assert name in COMMANDS, f"{command}: there is no command {name}"
    wanted = any(item.param_type_name == "argument" and item.required for item in COMMANDS[name].params)
    if not arguments and wanted:  # the bare name, in a sentence
        return {}
    return COMMANDS[name].make_context(name, arguments).params


def shown(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_exist_with_their_options(page: Path) -> None:
    for command in commands(page):
        parse(command)


def test_the_check_of_commands_finds_mistakes() -> None:
    assert parse("metier run a.yaml train.epochs=5 --task classify")["overrides"] == ["train.epochs=5"]
    with pytest.raises(AssertionError, match="there is no command"):
        parse("metier fly away")
    with pytest.raises(Exception, match="No such option"):
        parse("metier run a.yaml --bogus")
    assert sum(len(commands(page)) for page in HAND_MADE) > 50


@pytest.mark.parametrize("page", HAND_MADE, ids=shown)
def test_overrides_and_shipped_recipes_of_commands_exist(page: Path) -> None:
    for command in commands(page):
        given = parse(command)
        if given.get("overrides"):
            recipes.parse(recipes.override({"collect": {"sources": ["a.csv"]}}, given["overrides"]), command)
        name = given.get("recipe", "")
        if re.fullmatch(r"[a-z]+/[a-z-]+", name):
            assert name in shipped_names(), command


@pytest.mark.parametrize("page", HAND_MADE, ids=shown)
def test_recipes_parse_and_their_criteria_can_be_read(page: Path) -> None:
    for text in blocks(page, "yaml"):
        given = recipes.parse(recipes.override(yaml.safe_load(text), ()), shown(page))
        for criterion in given.evaluate.accept:
            parse_criterion(criterion)


@pytest.mark.parametrize("page", HAND_MADE, ids=shown)
def test_python_of_the_documents_is_python(page: Path) -> None:
    for text in blocks(page, "python"):
        ast.parse(text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{shown(page)}: {target}"
        assert path.is_relative_to(ROOT), f"{shown(page)}: {target} leaves the repository"
        assert not anchor or anchor in anchors(path), f"{shown(page)}: {target}"


def headings(page: Path) -> list[int]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]


def test_both_readmes_have_the_same_shape_and_commands() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    assert headings(english) == headings(chinese)

    def typed(page: Path) -> list[list[str]]:
        lines = [line for text in blocks(page, "sh", "bat") for line in text.splitlines()]
        return [shlex.split(line.replace("\\", "/"), comments=True) for line in lines]

    assert typed(english) == typed(chinese)
    assert set(commands(english)) >= {"metier run complaints.csv --task classify", "metier schema"}
    assert {" ".join(shlex.split(c, comments=True)) for c in commands(english)} == {
        " ".join(shlex.split(c, comments=True)) for c in commands(chinese)
    }


def tree(page: Path) -> list[str]:
    """The paths that the annotated tree of a README names."""
    paths, parents = [], [""]
    for line in blocks(page, "text")[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        for name in re.split(r"\s{2,}", line.strip()):
            if not re.fullmatch(r"\S*(?:/|\.\w+)|LICENSE|Makefile", name):
                break  # the annotation begins
            path = parents[depth] + name
            paths.append(path)
            if name.endswith("/"):
                parents = [*parents[: depth + 1], path]
    return paths


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_tree_is_true(name: str) -> None:
    named = tree(ROOT / name)
    assert len(named) > 12
    for path in named:
        assert (ROOT / path).exists(), path
        assert (ROOT / path).is_dir() == path.endswith("/"), path


def test_the_tree_leaves_nothing_out() -> None:
    named = set(tree(ROOT / "README.md"))
    for item in (ROOT / "src/metier").iterdir():
        if item.name not in ("__init__.py", "__pycache__"):
            assert f"src/metier/{item.name}{'/' if item.is_dir() else ''}" in named, item.name


def generator() -> Any:
    spec = spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator().main(["--check"]) == 0, capsys.readouterr().err


def test_the_check_of_the_reference_notices_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = generator()
    module.HERE = tmp_path
    assert module.main(["--check"]) == 1
    assert "cli.md, recipe.md" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert module.main([]) == 0
    assert module.main(["--check"]) == 0


def test_every_environment_variable_is_documented() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/metier").rglob("*.py"))
    read = set(re.findall(r"\"(METIER_[A-Z_]+)\"", code))
    documented = {name for name, _ in generator().VARIABLES}
    assert read <= documented
    assert {name for name in documented if name.startswith("METIER_")} <= set(re.findall(r"METIER_[A-Z_]+", code))


def test_decisions_have_their_four_parts_and_stand_in_the_list() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    notes = sorted(folder.glob("[0-9]*.md"))
    assert [note.name[:4] for note in notes] == [f"{number:04}" for number in range(1, len(notes) + 1)]
    for note in notes:
        text = note.read_text(encoding="utf-8")
        assert text.startswith(f"# {note.name[:4]}: ")
        assert re.findall(r"^\*\*([\w ]+)\.\*\*", text, re.M) == ["Context", "Decision", "Consequence", "How to check"]
        assert f"]({note.name})" in index


def test_contributing_fits_on_a_few_screens() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert re.findall(r"^(\d+)\. \*\*", text, re.M) == [str(number) for number in range(1, 11)]


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The package of docs/guide/extending.md, installed where only this test sees it; the environment for it."""
    page = ROOT / "docs/guide/extending.md"
    project = tomllib.loads(blocks(page, "toml")[0])["project"]
    site = tmp_path / "site"
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (site / "metier_calls.py").write_text(blocks(page, "python")[0], encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in given.items())
              for group, given in project["entry-points"].items()]  # fmt: skip
    (about / "entry_points.txt").write_text("\n".join(points))
    for label, line in (("card_lost", "my card is lost, number {}"), ("fee", "why the fee of {} pounds")):
        folder = tmp_path / "calls" / label
        folder.mkdir(parents=True)
        for number in range(12):
            spoken = line.format(number * 7919 % 1000) + " " + chr(97 + number) * 9
            (folder / f"{number}.srt").write_text(f"1\n00:00:01,000 --> 00:00:03,000\n{spoken}\n--\nHarbour & Vale\n")
    (tmp_path / "calls" / "fee" / "silent.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\n\n")
    (tmp_path / "calls.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(site), "METIER_STORE": str(tmp_path / "store")}


CHECK = """
import json, sys
import numpy as np
import pyarrow.parquet as pq
from metier.evaluate.floors import FloorData
from metier.evaluate.items import CLASSIFY, Items
from metier.evaluate.metrics import for_kind, value
from metier.registry import lookup
from metier.train.config import TaskConfig

rows = pq.read_table(sys.argv[1] + "/examples.parquet").to_pylist()
refused = pq.read_table(sys.argv[2] + "/rejected.parquet").to_pylist()
floor = lookup("floor", "keywords")
train = FloorData(["x", "y", "z"], labels=["fee", "fee", "card_lost"], classes=("card_lost", "fee"))
answers = floor(train, ["my card is lost", "good morning"], TaskConfig(), 0).labels
items = Items(CLASSIFY, np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), classes=("a", "b"))
figure = value(lookup("metric", "balanced_accuracy"), items)
listed = "balanced_accuracy" in [m.name for m in for_kind(CLASSIFY)]
print(json.dumps({
    "rows": len(rows), "texts": [row["text"] for row in rows], "labels": sorted({row["label"] for row in rows}),
    "refused": [row["reason"] for row in refused], "answers": answers, "figure": figure, "listed": listed,
}))
"""


def test_the_plugin_of_the_guide_runs(plugin: dict[str, str], tmp_path: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], env=plugin, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "metier", "collect", "calls.yaml", "--output", "collected", "--quiet")
    run("-m", "metier", "prepare", "calls.yaml", "prepare.dedup.near=false", "--output", "prepared", "--quiet")
    found = yaml.safe_load(run("-c", CHECK, "prepared", "collected"))
    assert found["rows"] == 24
    assert found["labels"] == ["card_lost", "fee"]
    assert not any("Harbour" in text or "-->" in text for text in found["texts"])
    assert found["refused"] == ["empty"]
    assert found["answers"] == ["card_lost", "fee"]
    assert found["figure"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["listed"]
