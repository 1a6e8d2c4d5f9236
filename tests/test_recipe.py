"""Recipes: strict at every depth, overridden from the command line, written out whole, and what of them is identity."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.config import Section, is_execution
from metier.errors import UserError
from metier.recipe import Recipe, _Loader, dump, load, override, parse, read_word, read_yaml, schema

FULL = {  # one of everything that can be nested
    "task": {"label_names": {"a": "b"}},
    "collect": {
        "sources": [{"path": "data.csv", "columns": {"text": "message"}}],
        "index": {"path": "register.csv", "key": "item", "columns": {"label": "intent"}},
    },
}


def told(data: Any) -> str:
    with pytest.raises(UserError) as error:
        parse(data)
    assert error.value.where and error.value.fix
    return error.value.what


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"trian": {}}, "trian: there is no such key; did you mean 'train'?"),
        ({"train": {"epoch": 3}}, "train.epoch: there is no such key; did you mean 'epochs'?"),
        ({"train": {"lora": {"alfa": 3}}}, "train.lora.alfa: there is no such key; did you mean 'alpha'?"),
        ({"prepare": {"split": {"tests": 0.1}}}, "prepare.split.tests: there is no such key; did you mean 'test'?"),
        ({"prepare": {"dedup": {"treshold": 1}}}, "did you mean 'threshold'?"),
        ({"task": {"nmae": "score"}}, "task.nmae: there is no such key; did you mean 'name'?"),
        ({"collect": {"sources": [{"path": "a"}, {"pth": "b", "path": "b"}]}},
         "collect.sources.1.pth: there is no such key; did you mean 'path'?"),
        ({"collect": {"index": {"path": "a", "key": "b", "columns": {}, "kez": 1}}},
         "collect.index.kez: there is no such key; did you mean 'key'?"),
        ({"collect": {"sources": [{"path": "a", "columns": {"lable": "x"}}]}},
         "collect.sources.0.columns: there is no role 'lable'; did you mean 'label'?"),
        ({"epochs": 3}, "epochs: there is no such key; did you mean 'train.epochs'?"),
        ({"evaluate": {"threshold": 3}}, "did you mean 'prepare.dedup.threshold'?"),
        ({"columns": {}}, "did you mean 'collect.sources.0.columns'?"),
        ({"zzz": 3}, "zzz: there is no such key; known: collect, description, engine, evaluate"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest(data: dict[str, Any], line: str) -> None:
    assert line in told(data)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"seed": -1}, "seed: Input should be greater than or equal to 0 (given: -1)"),
        ({"seed": 1.5}, "seed: Input should be a valid integer"),
        ({"name": "a b"}, "name: String should match pattern"),
        ({"name": "../up"}, "name: String should match pattern"),
        ({"train": {"epochs": "many"}}, "train.epochs: Input should be a valid number"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate: Input should be a finite number"),
        ({"train": {"weight_decay": float("inf")}}, "train.weight_decay: Input should be a finite number"),
        ({"train": {"long_text": "chop"}}, "train.long_text: Input should be 'window' or 'cut' (given: 'chop')"),
        ({"train": 5}, "train: should be a mapping with keys such as base_model"),
        ({"evaluate": {"accept": "accuracy > 0.5"}}, "evaluate.accept: Input should be a list"),
        ({"collect": {"sources": [{}]}}, "collect.sources.0: a source is one of path, sql, web, dataset"),
        ({"collect": {"sources": 3}}, "collect.sources: Input should be a list (given: 3)"),
        ({"task": {"label_names": {"a": 3}}}, "task.label_names.a: Input should be a valid string (given: 3)"),
        ({"prepare": {"split": {"test": 0.6, "validation": 0.5}}}, "prepare.split: test + validation must stay below"),
    ],
)
def test_a_wrong_value_says_where_and_what(data: dict[str, Any], line: str) -> None:
    what = told(data)
    assert line in what and what.startswith("the recipe has 1 mistake:\n"), what


def test_all_mistakes_at_once_each_key_once() -> None:
    what = told({"seed": -1, "train": {"epochs": "x", "epoch": 1}, "evaluate": {"alpha": 2}})
    assert what.startswith("the recipe has 4 mistakes:") and what.count("\n  - ") == 4


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("train:\n  epochs: [1, 2\nseed: 1\n", "this is not YAML", ":3:"),
        ("seed: 1\n\tname: x\n", "this is not YAML", ":2:"),
        ("seed: 1\ntrain: {}\nseed: 2\n", "'seed' stands twice", ":3:1"),
        ("train:\n  lora:\n    r: 1\n    r: 2\n", "'r' stands twice", ":4:5"),
        ("? [a, b]\n: 1\n", "a key must be a word", ":1:"),
        ("a: &x {}\nb:\n  <<: *x\n", "'<<' is not known here", ":3:3"),
        ("name: *nowhere\n", "this is not YAML", ":1:7"),
        ("name: !!python/object:os.system x\n", "this is not YAML", ":1:7"),
        ("- a\n- b\n", "a recipe is a mapping, this is a list", "recipe.yaml"),
        ("just words", "a recipe is a mapping, this is a str", "recipe.yaml"),
        (b"name: \xff\xfe\xfa", "not UTF-8", "recipe.yaml"),
        (b"name: a\x00b", "this is not YAML", "recipe.yaml"),
        ("[" * 5000, "nested too deeply", "recipe.yaml"),
    ],
)
def test_yaml_mistakes_have_a_place(text: str | bytes, what: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_yaml(write(tmp_path, text))
    assert what in error.value.what and place in error.value.where and "\n" not in error.value.what


def test_a_recipe_that_contains_itself(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="contains itself"):
        load(write(tmp_path, "train: &a\n  lora: *a\n"))


def test_files_that_cannot_be_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such recipe"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="a folder where a file is"):
        read_yaml(tmp_path)
    assert read_yaml(write(tmp_path, "")) == {} == read_yaml(write(tmp_path, "# only a comment\n"))
    assert read_yaml(write(tmp_path, b"\xef\xbb\xbfname: x\n")) == {"name": "x"}  # Windows editors write the mark


def test_yaml_as_people_mean_it(tmp_path: Path) -> None:
    text = "train:\n  learning_rate: 1e-4\n  weight_decay: .5\ntask:\n  label_names: {no: 'no way', on: yes, y: n}\n"
    data = read_yaml(write(tmp_path, text + "report:\nprepare:\n  split:\n"))
    assert data["train"] == {"learning_rate": 0.0001, "weight_decay": 0.5}
    assert data["task"]["label_names"] == {"no": "no way", "on": "yes", "y": "n"}
    assert parse(data).report == Recipe().report and parse(data).prepare == Recipe().prepare  # nothing below them
    assert parse({"collect": {"attachments": read_word("false")}}).collect.attachments is False
    assert parse({"collect": {"index": None}}).collect.index is None


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("train.epochs=5", ("train", "epochs"), 5),
        ("train.learning_rate=1e-4", ("train", "learning_rate"), 0.0001),
        ("train.learning_rate=3E-5", ("train", "learning_rate"), 0.00003),
        ("train.bf16=false", ("train", "bf16"), False),
        ("evaluate.accept=[accuracy >= 0.9, accuracy > tfidf + 0.01]", ("evaluate", "accept"),
         ["accuracy >= 0.9", "accuracy > tfidf + 0.01"]),
        ("evaluate.floors=[]", ("evaluate", "floors"), []),
        ("collect.sources.0.path=b.csv", ("collect", "sources", 0, "path"), "b.csv"),
        ("collect.sources.0.columns.label=intent", ("collect", "sources", 0, "columns", "label"), "intent"),
        ("collect.sources.0.columns={text: a, label: b}", ("collect", "sources", 0, "columns", "label"), "b"),
        ("collect.index=null", ("collect", "index"), None),
        ("task=score", ("task", "name"), "score"),
        ("task.multi_label=true", ("task", "multi_label"), True),
        ("description=a = b", ("description",), "a = b"), ("description=a: b: c", ("description",), "a: b: c"),
        ('evaluate.accept=["recall[a] >= 0.8"]', ("evaluate", "accept"), ["recall[a] >= 0.8"]),
        ("report.title=", ("report", "title"), None),
        ("name=中文", ("name",), "中文"),
    ],
)  # fmt: skip
def test_overrides(setting: str, path: tuple[Any, ...], value: Any) -> None:
    data: Any = override(FULL, [setting])
    for part in path:
        data = data[part]
    assert data == value
    assert FULL["collect"]["index"] is not None  # the given mapping stays as it was


@pytest.mark.parametrize("sources", ["data.csv", ["data.csv"], {"path": "data.csv"}, [{"path": "data.csv"}]])
def test_overrides_reach_into_short_forms(sources: Any) -> None:
    found = parse(override({"task": "score", "collect": {"sources": sources}},
                           ["collect.sources.0.columns.text=a", "task.multi_label=true"]))  # fmt: skip
    assert found.collect.sources[0].path == "data.csv" and found.collect.sources[0].columns == {"text": "a"}
    assert found.task.name == "score" and found.task.multi_label
    given = ["engine=ray", "engine.address=a:1"]
    assert override({}, given)["engine"] == {"name": "ray", "address": "a:1"}
    assert override({"engine": "ray"}, ["engine.workers=3", "engine=local"])["engine"] == {
        "name": "local",
        "workers": 3,
    }
    assert override({"task": {"name": "score", "multi_label": True}}, ["task=classify"])["task"] == {
        "name": "classify", "multi_label": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.epochs", "is not an override"), ("=5", "is not an override"),
        ("collect.sources.7.path=x", "there is no item 7"), ("collect.sources.x.path=y", "there is no item x"),
        ("collect.sources.0.path.deep=x", "'collect.sources.0.path' has no parts"),
        ("seed.deep.er=1", "'seed' has no parts"),
        ("evaluate.accept=[recall[fraud] >= 0.8]", "the value is not YAML"),
        ("collect.sources.0.columns={text: a", "the value is not YAML"),
    ],
)  # fmt: skip
def test_overrides_that_cannot_be(setting: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        override({**FULL, "seed": 1}, [setting])
    assert words in error.value.what and error.value.where == "command line" and error.value.fix


def test_an_override_of_an_unknown_key_is_a_mistake() -> None:
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        parse(override({}, ["train.epoch=5"]))


def test_dump_is_complete_and_read_back_equal(tmp_path: Path) -> None:
    for data in ({}, FULL, {**FULL, "task": "score", "train": {"learning_rate": 1e-5, "max_length": 64}}):
        recipe = parse(data)
        assert load(write(tmp_path, dump(recipe))) == recipe
        assert parse(yaml.safe_load(dump(recipe))) == recipe  # by any YAML reader
    shown = yaml.safe_load(dump(Recipe()))
    assert set(shown) == set(Recipe.model_fields) and set(shown["train"]) == set(Recipe().train.model_dump())


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), st.text(st.characters(codec="utf-8"))))
def test_any_text_survives_dump_and_load(names: dict[str, str]) -> None:
    recipe = parse({"task": {"label_names": names}, "description": "".join(names)})
    assert parse(yaml.load(dump(recipe), Loader=_Loader)) == recipe


@pytest.mark.parametrize(
    "word", ["1e5", "no", "on", "null", "~", "true", "12:30", "0x1f", "2024-01-01", ".5", "<<", "="]
)
def test_words_that_look_like_something_else(word: str, tmp_path: Path) -> None:
    recipe = parse({"task": {"label_names": {word: word}}})
    assert load(write(tmp_path, dump(recipe))) == recipe
    assert yaml.safe_load(dump(recipe))["task"]["label_names"] == {word: word}


# -- schema ------------------------------------------------------------------------------------------------------------


def fits(value: Any, rule: dict[str, Any], whole: dict[str, Any]) -> bool:
    """The part of JSON Schema that pydantic writes; `jsonschema` takes its place where it is installed."""
    if "$ref" in rule:
        return fits(value, whole["$defs"][rule["$ref"].rsplit("/", 1)[1]], whole)
    if "anyOf" in rule and not any(fits(value, one, whole) for one in rule["anyOf"]):
        return False
    if ("const" in rule and value != rule["const"]) or ("enum" in rule and value not in rule["enum"]):
        return False
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float),
             "integer": int}  # fmt: skip
    kind = rule.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind in ("number", "integer"))):
        return False
    if isinstance(value, dict):
        known = rule.get("properties", {})
        if any(name not in value for name in rule.get("required", [])):
            return False
        extra = rule.get("additionalProperties", True)
        return all(
            fits(item, known[name], whole) if name in known
            else extra is True or (isinstance(extra, dict) and fits(item, extra, whole))
            for name, item in value.items()
        )  # fmt: skip
    if isinstance(value, list):
        return all(fits(item, rule.get("items", {}), whole) for item in value)
    if isinstance(value, str):
        return "pattern" not in rule or bool(re.search(rule["pattern"], value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value >= rule.get("minimum", value) and value <= rule.get("maximum", value)
                and not value <= rule.get("exclusiveMinimum", value - 1)
                and not value >= rule.get("exclusiveMaximum", value + 1))  # fmt: skip
    return True


def valid(data: Any) -> bool:
    made = schema()
    try:
        import jsonschema
    except ImportError:
        return fits(data, made, made)
    return jsonschema.Draft202012Validator(made).is_valid(data)


def test_schema_takes_what_the_recipe_takes() -> None:
    assert schema()["$schema"].startswith("https://json-schema.org/")
    assert valid(yaml.safe_load(dump(Recipe()))) and valid(yaml.safe_load(dump(parse(FULL)))) and valid(FULL)
    for short in (
        {"engine": "ray"},
        {"task": "classify"},
        {"collect": {"sources": "a.csv"}},
        {"collect": {"sources": ["a", {"path": "b"}]}},
    ):
        assert parse(short) and valid(short)


@pytest.mark.parametrize(
    "data",
    [{"trian": {}}, {"train": {"epoch": 1}}, {"seed": -1}, {"train": {"epochs": "many"}}, {"evaluate": {"alpha": 0.9}},
     {"collect": {"sources": [{}]}}, {"name": "a b"}, {"report": {"language": "fr"}}],
)  # fmt: skip
def test_schema_refuses_what_the_recipe_refuses(data: dict[str, Any]) -> None:
    assert told(data) and not valid(data)


def test_every_key_is_described_in_the_schema() -> None:
    kinds = {"Recipe": schema(), **schema()["$defs"]}
    bare = [f"{kind}.{name}" for kind, one in kinds.items() for name, rule in one["properties"].items()
            if "description" not in rule and "$ref" not in rule and "allOf" not in rule]  # fmt: skip
    assert bare == ["Recipe.task"]  # whose kind is described


# -- identity ----------------------------------------------------------------------------------------------------------


def fields(section: Section, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Section, str]]:
    """Every field of every section: (path, section, name)."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from fields(value, (*place, name))
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            yield from fields(value[0], (*place, name, 0))
        else:
            yield (*place, name), section, name


def changed(recipe: Recipe, path: tuple[Any, ...]) -> Recipe:
    """The recipe with another valid value at `path`; constraints are not checked, since only the difference counts."""
    section: Any = recipe
    for part in path[:-1]:
        section = section[part] if isinstance(part, int) else getattr(section, part)
    value = getattr(section, path[-1])
    other: Any = not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else "other"
    return _replaced(recipe, path, other)


def _replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(path[0], int):
        return (*node[: path[0]], _replaced(node[path[0]], path[1:], value), *node[path[0] + 1 :])
    return node.model_copy(update={path[0]: _replaced(getattr(node, path[0]), path[1:], value)})


ALL = list(fields(parse(FULL)))


def test_the_fields_that_are_execution() -> None:
    """The whole list: a field may join it only if no value of it can change a result."""
    found = {".".join(map(str, path)) for path, section, name in ALL
             if is_execution(type(section).model_fields[name].json_schema_extra)}  # fmt: skip
    assert found == {
        "collect.sources.0.path", "collect.sources.0.only", "collect.sources.0.url",
        "collect.index.path", "collect.index.url", "collect.workers",
        "collect.sources.0.storage_options", "collect.sources.0.sql", "collect.sources.0.web",
        "collect.sources.0.dataset", "collect.sources.0.refresh",
        "engine.address", "engine.name", "engine.workers",
        "prepare.deidentify.names.dictionary", "prepare.deidentify.key_file", "prepare.deidentify.key_variable",
        "prepare.deidentify.vault", "prepare.deidentify.require.max_residual", "prepare.deidentify.require.audit",
        "prepare.deidentify.require.confidence", "prepare.chunk.tokenizer", "prepare.correct.lexicon",
        "prepare.select.target", "prepare.decontaminate.against", "prepare.synthesize.cache",
        "prepare.synthesize.key_variable", "prepare.synthesize.prompt", "prepare.synthesize.retries",
        "prepare.synthesize.timeout",
        "evaluate.forgetting.texts", "evaluate.judge.at_once", "evaluate.judge.seconds",
        "train.checkpoint_seconds", "train.device", "train.gradient_checkpointing",
        "train.processes", "train.energy_country", "train.threads",
    }  # fmt: skip


@pytest.mark.parametrize("case", ALL, ids=[".".join(map(str, path)) for path, _, _ in ALL])
def test_each_field_is_identity_unless_it_is_execution(case: tuple[tuple[Any, ...], Section, str]) -> None:
    path, section, name = case
    recipe = parse(FULL)
    other = changed(recipe, path)
    assert other != recipe
    whole = is_execution(Recipe.model_fields[str(path[0])].json_schema_extra)  # `tune`: no run reads any of it
    execution = whole or is_execution(type(section).model_fields[name].json_schema_extra)
    assert (other.identity() == recipe.identity()) == execution


def test_identity_is_plain_json_and_knows_one_spelling() -> None:
    assert json.loads(json.dumps(parse(FULL).identity())) == parse(FULL).identity()
    one, two = ({"train": {"epochs": value}, "collect": {"sources": form}}
                for value, form in ((5, "a.csv"), (5.0, [{"path": "elsewhere.csv"}])))  # fmt: skip
    assert parse(one).identity() == parse(two).identity()


def test_sections_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().train.epochs = 3  # type: ignore[misc]
