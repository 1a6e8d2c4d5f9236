"""The whole recipe: one file that says what the model should become.

Purpose: YAML with one section a stage, strict and complete. An unknown key is an error that names the nearest key; a
value of the wrong kind says which; `key.sub=value` on the command line overrides; `dump` prints every default.
Trade-off: a recipe has no variables, no includes and no code. What it says can be read by an auditor.
Not covered: what the stages do with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from metier.collect.config import CollectConfig
from metier.config import Section
from metier.errors import UserError, nearest
from metier.evaluate.config import EvaluateConfig
from metier.prepare.config import PrepareConfig
from metier.report.config import ReportConfig
from metier.train.config import TaskConfig, TrainConfig


class Recipe(Section):
    """One run, from raw files to a verdict."""

    name: str = Field(default="run", pattern=r"^[\w][\w.-]*$")
    """Name of the run's folder under runs/; letters, digits, `-`, `_`, `.`."""
    description: str = ""
    """What this is for; printed on the report."""
    seed: int = Field(default=0, ge=0)
    """Every random draw starts here."""
    task: TaskConfig = TaskConfig()
    collect: CollectConfig = CollectConfig()
    prepare: PrepareConfig = PrepareConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()

    @field_validator("task", mode="before")
    @classmethod
    def _task_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


def parse(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A mapping as a Recipe; UserError names every wrong key and value."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UserError(
            f"the recipe has {error.error_count()} mistake{'s' if error.error_count() > 1 else ''}:\n"
            + "\n".join(f"  - {_explain(item)}" for item in error.errors()),
            where, "`metier show RECIPE` prints every key with its default, `metier schema` the schema for editors",
        ) from None  # fmt: skip


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `key=value` overrides."""
    return parse(override(read_yaml(path), overrides), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The file as a mapping; UserError with line and column when it is not YAML."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError("there is no such recipe", str(path), "`metier new data.csv` writes one") from None
    except UnicodeDecodeError as error:
        raise UserError(f"the recipe is not UTF-8: {error}", str(path), "save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UserError(f"this is not YAML: {getattr(error, 'problem', error)}", place, "mend that line") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(f"a recipe is a mapping, this is a {type(data).__name__}", str(path), "see `metier new`")
    return data


def override(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply `train.epochs=5`-like settings; values are YAML, list items go by number (`sources.0.path`)."""
    data = json.loads(json.dumps(data, default=str))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UserError(f"'{setting}' is not an override", "command line", "write key=value, as in train.epochs=5")
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError:
            value = text
        _put(data, key.strip().split("."), value, setting)
    return data


def dump(recipe: Recipe) -> str:
    """The resolved whole as YAML, every default visible."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def schema() -> dict[str, Any]:
    """JSON Schema for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `1e-4` is a number, a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d+(?:[eE][-+]?\d+)?)$"),
    list("-+0123456789."),
)


def _put(data: Any, path: list[str], value: Any, setting: str) -> None:
    for index, key in enumerate(path):
        last = index == len(path) - 1
        if isinstance(data, list):
            if not key.isdigit() or int(key) >= len(data):
                raise UserError(f"'{setting}': there is no item {key}", "command line",
                                f"the list has {len(data)} items, numbered from 0")  # fmt: skip
            if last:
                data[int(key)] = value
            else:
                data = data[int(key)]
        elif last:
            data[key] = value
        else:
            if isinstance(data.get(key), str) and key == "task":
                data[key] = {"name": data[key]}
            if not isinstance(data.get(key), (dict, list)):
                data[key] = {}
            data = data[key]


def _explain(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{place}: there is no such key; {nearest(str(item['loc'][-1]), _keys(item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"{place}: this key is required"
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{place}: {item['msg'].removeprefix('Value error, ')}{shown}"


def _keys(path: Sequence[Any]) -> list[str]:
    """The keys that the section at `path` knows."""
    model: Any = Recipe
    for part in path:
        if isinstance(part, str) and hasattr(model, "model_fields") and part in model.model_fields:
            model = _section(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _section(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section(inner)
        if found:
            return found
    return None
