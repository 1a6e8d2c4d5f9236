"""The whole recipe: one file that says what the model should become.

Purpose: YAML with one section a stage, strict and complete. An unknown key is an error that names the nearest key; a
value of the wrong kind says which; `key.sub=value` on the command line overrides; `dump` prints every default.
Trade-off: a recipe has no variables, no includes and no code. What it says can be read by an auditor.
Not covered: what the stages do with it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from metier.collect.config import CollectConfig
from metier.config import Section, execution
from metier.engines.config import EngineConfig
from metier.errors import UserError, nearest, of_system
from metier.evaluate.config import EvaluateConfig
from metier.prepare.config import PrepareConfig
from metier.report.config import ReportConfig
from metier.train.config import TaskConfig, TrainConfig
from metier.train.search import TuneConfig


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
    tune: TuneConfig = execution(TuneConfig())
    """What `metier tune` searches; no run reads it."""
    engine: EngineConfig = execution(EngineConfig())
    """Where the work of collect and prepare is done; `engine: ray` is short for its name."""

    @field_validator("task", "engine", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


def parse(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A mapping as a Recipe; UserError names every wrong key and value."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        mistakes = _explain(error.errors())
        raise UserError(
            f"the recipe has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}:\n"
            + "\n".join(f"  - {line}" for line in mistakes),
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
    except OSError as error:
        raise (of_system(error, path) or UserError(f"cannot be read: {error}", str(path), "check the path")) from None
    except RecursionError:
        raise UserError("this YAML is nested too deeply", str(path), "see `metier new` for the shape") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        what = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UserError(f"this is not YAML: {what}", place, "mend that line") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(f"a recipe is a mapping, this is a {type(data).__name__}", str(path), "see `metier new`")
    return data


def override(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply `train.epochs=5`-like settings; values are YAML, list items go by number (`sources.0.path`)."""
    try:
        data = _long_form(json.loads(json.dumps(data, default=str)))
    except (ValueError, RecursionError):
        raise UserError("a part of the recipe contains itself", "an alias (*)", "write that part out") from None
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UserError(f"'{setting}' is not an override", "command line", "write key=value, as in train.epochs=5")
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError:
            if text.lstrip()[:1] in ("[", "{", '"', "'"):
                fix = """quote each item, as in 'evaluate.accept=["recall[fraud] >= 0.8"]'"""
                raise UserError(f"'{setting}': the value is not YAML", "command line", fix) from None
            value = text
        _put(data, key.strip().split("."), value, setting)
    return data


def read_word(text: str) -> Any:
    """What a recipe would make of a bare word: the text itself, a number, a truth value, None."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return None


def write_word(text: str) -> str:
    """A YAML scalar on one line that is read back as exactly this text, in quotes only where they are needed."""
    return yaml.dump([text], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**9).strip()[1:-1]


def dump(recipe: Recipe) -> str:
    """The resolved whole as YAML, every default visible."""
    return yaml.dump(
        recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )  # fmt: skip


def schema() -> dict[str, Any]:
    """JSON Schema for editors; knows the short forms (`task: classify`, `engine: ray`, `sources: folder`) too."""
    made = Recipe.model_json_schema()
    kinds = made["$defs"]
    for name, section in (("task", "TaskConfig"), ("engine", "EngineConfig")):
        made["properties"][name] = {"anyOf": [{"$ref": f"#/$defs/{section}"}, {"type": "string"}],
                                    **{k: v for k, v in made["properties"][name].items() if k != "$ref"}}  # fmt: skip
    sources = kinds["CollectConfig"]["properties"]["sources"]
    one = [{"$ref": "#/$defs/SourceConfig"}, {"type": "string"}]
    described = {key: value for key, value in sources.items() if key not in ("type", "items")}
    kinds["CollectConfig"]["properties"]["sources"] = {
        "anyOf": [{"type": "array", "items": {"anyOf": one}}, *one], **described
    }  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `1e-4` is a number, `no` is a word, a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "'<<' is not known here", key_node.start_mark)
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
# In YAML 1.1 `no`, `on` and `yes` are truth values, and a label called "no" would become False. Here only true and
# false are.
for _first in "yYnNoO":
    _Loader.yaml_implicit_resolvers[_first] = [
        pair for pair in _Loader.yaml_implicit_resolvers.get(_first, []) if pair[0] != "tag:yaml.org,2002:bool"
    ]


class _Dumper(yaml.SafeDumper):
    """Quotes every string that `_Loader` or another YAML reader would take for something else."""

    def represent_str(self, text: str) -> Any:
        style = None if text.isprintable() else '"'  # line separators are lost in any other style
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_str)

for _first, _pairs in _Loader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _pairs:
        if (_tag, _pattern) not in _Dumper.yaml_implicit_resolvers.get(_first, []):
            _Dumper.add_implicit_resolver(_tag, _pattern, [_first])


def _long_form(data: Any) -> Any:
    """The short forms of `task`, `engine` and `collect.sources` written out, so that overrides can reach into them."""
    for name in ("task", "engine"):
        if isinstance(data.get(name), str):
            data[name] = {"name": data[name]}
    collect = data.get("collect")
    if isinstance(collect, dict) and "sources" in collect:
        given = collect["sources"]
        items = given if isinstance(given, list) else [given]
        collect["sources"] = [{"path": item} if isinstance(item, str) else item for item in items]
    return data


def _put(data: Any, path: list[str], value: Any, setting: str) -> None:
    for index, key in enumerate(path):
        last = index == len(path) - 1
        if isinstance(data, list):
            if not key.isdecimal() or int(key) >= len(data):
                raise UserError(f"'{setting}': there is no item {key}", "command line",
                                f"the list has {len(data)} items, numbered from 0")  # fmt: skip
            if last:
                data[int(key)] = value
            data = data[int(key)]
        elif not isinstance(data, dict):
            raise UserError(f"'{setting}': '{'.'.join(path[:index])}' has no parts", "command line",
                            f"it is {data!r}; set it as a whole")  # fmt: skip
        elif last:
            data[key] = {**known, "name": value} if (known := _named(path, value, data)) is not None else value
        else:
            if data.get(key) is None:
                data[key] = {}
            data = data[key]


def _named(path: list[str], value: Any, data: dict[str, Any]) -> dict[str, Any] | None:
    """The section that `task=score` or `engine=ray` names; its other settings stay. None for any other setting."""
    if path not in (["task"], ["engine"]) or not isinstance(value, str):
        return None
    section = data.get(path[0])
    return section if isinstance(section, dict) else {}


def _explain(errors: Sequence[Any]) -> list[str]:
    """One line for each key with a mistake; a key that may be of several kinds has several errors at one place."""
    lines: dict[str, list[str]] = {}
    for item in errors:
        path = _place(item["loc"])
        place = ".".join(str(part) for part in path) or "recipe"
        text = item["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        text = text.replace("a valid dictionary", "a mapping").replace("an object", "a mapping")
        given = item.get("input")
        if item["type"] == "extra_forbidden":
            text = f"there is no such key; {_similar(str(item['loc'][-1]), item['loc'][:-1])}"
        elif item["type"] == "missing":
            text = "this key is required"
        elif item["type"] in ("model_type", "model_attributes_type"):
            text = f"should be a mapping with keys such as {', '.join(_keys(path)[:4])}"
        elif isinstance(given, (str, int, float, bool)):
            text += f" (given: {given!r})"
        if text not in lines.setdefault(place, []):
            lines[place].append(text)
    return [f"{place}: {'; or: '.join(texts)}" for place, texts in lines.items()]


def _place(path: Sequence[Any]) -> list[Any]:
    """The part of pydantic's location that is the user's: without the names of the kinds that were tried."""
    shown: list[Any] = []
    model: Any = Recipe
    for part in path:
        fields = getattr(model, "model_fields", None)
        if fields is None and isinstance(part, str) and (shown and shown[-1] in ("columns", "label_names")):
            return [*shown, part]
        if isinstance(part, int):
            shown.append(part)
        elif fields is not None:
            shown.append(part)
            model = _section(fields[part].annotation) if part in fields else None
    return shown


def _similar(name: str, path: Sequence[Any]) -> str:
    """The nearest key of this section, else the section where a key of that name is known."""
    known = _keys(path)
    if not difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        others = [place for place in _all_keys(Recipe) if place.rsplit(".", 1)[-1] == name]
        if others:
            return f"did you mean '{others[0]}'?"
    return nearest(name, known)


def _all_keys(model: type[Section], prefix: str = "") -> list[str]:
    """Every key below a section with its path; items of a list as `0`."""
    found = []
    for name, field in model.model_fields.items():
        found.append(prefix + name)
        inner = _section(field.annotation)
        if inner:
            many = getattr(field.annotation, "__origin__", None) is tuple
            found += _all_keys(inner, f"{prefix}{name}.{'0.' if many else ''}")
    return found


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
