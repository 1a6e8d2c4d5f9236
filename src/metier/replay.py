"""A run is judged again from its stored answers: the same results.json and report.html, byte for byte, or what differs.

Purpose: nobody has to believe a report. `runs/<name>/` and what its links point to hold all that the figures were made
from; no model, no GPU and no store are needed. A copy of the folder in which the links were followed is enough.
Trade-off: the recipe is the one that the report itself tells, held against the fingerprint of the run; figures are
equal to the last digit only with the same versions of the libraries, so differing versions are told first.
Not covered: making the answers again (`metier run`).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metier.artifact import RECORD, Artifact, Store, environment
from metier.console import Console
from metier.errors import UserError
from metier.recipe import Recipe

NEEDED = ("collect", "prepare", "train", "predictions", "evaluate", "report")
JUDGED = ("results.json", "cases.parquet")  # what the evaluation writes
LIBRARIES = ("metier", "numpy", "scipy", "scikit-learn", "pyarrow")  # that can change a figure or a file
COMPARED = "comparison.json"  # in the folder of a comparison of logs made elsewhere, which is no run
MOST = 20  # differences that are listed


@dataclass(frozen=True)
class Replay:
    """What came out. same: every file has the bytes of the run. versions: what is installed in another version now.
    differences: one line each, by file. files: path -> bytes in the run and now."""

    same: bool
    versions: tuple[str, ...]
    differences: tuple[str, ...]
    files: Mapping[str, tuple[int, int]]


def find_run(name: str) -> Path:
    """The folder of a run, or of a comparison of two logs: a path, or a name under the folder of runs."""
    root = Path(os.environ.get("METIER_RUNS") or "runs")
    for path in (Path(name), root / name):
        if any((path / name).is_file() for name in ("run.json", COMPARED)) and (path / "results.json").is_file():
            return path
    known = sorted(path.parent.name for path in root.glob("*/run.json"))
    raise UserError(f"there is no finished run called '{name}'", str(root.absolute()),
                    f"known: {', '.join(known)}" if known else "run a recipe first: metier run RECIPE")  # fmt: skip


def results_of(folder: Path) -> dict[str, Any]:
    """results.json of a run; UserError when it is damaged."""
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        if not {"verdict", "models", "primary"} <= set(found):
            raise ValueError("it is not complete")
        return found  # type: ignore[no-any-return]
    except (OSError, ValueError, TypeError) as error:
        raise UserError("the results of this run cannot be read", str(folder / "results.json"),
                        f"run it again ({type(error).__name__}: {error})") from error  # fmt: skip


def artifacts_of(folder: Path) -> dict[str, Artifact]:
    """What every stage of a finished run wrote; UserError where something is missing."""
    return _artifacts(folder, json.loads((folder / "run.json").read_text(encoding="utf-8"))["stages"])


def replay(folder: Path, console: Console, output: Path | None = None) -> Replay:
    """Judge the stored answers of a run again and compare with what the run holds.

    output: where the new files are kept; without it they are made in a temporary folder and thrown away.
    """
    if (folder / COMPARED).is_file():
        return _compared(folder, console, output)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    done, weights = _artifacts(folder, run["stages"]), run.get("model_files", {})
    recipe = _recipe(folder, done["report"])
    with tempfile.TemporaryDirectory(prefix="metier-replay-") as temporary:
        out = output or Path(temporary)
        _make(recipe, done, weights, out, console)
        return _held([
            *((f"evaluate/{name}", done["evaluate"].path / name, out / "evaluate" / name) for name in JUDGED),
            *((name, folder / name, out / name) for name in done["report"].summary["files"]),
        ], _versions(done))  # fmt: skip


def _compared(folder: Path, console: Console, output: Path | None) -> Replay:
    """As `replay`, of a comparison of two logs: from the answers that were stored of them."""
    from metier.harness.judge import judge

    try:
        was = json.loads((folder / COMPARED).read_text(encoding="utf-8"))["packages"]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError("what is stored of this comparison cannot be read", str(folder / COMPARED),
                        "compare the logs again") from error  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="metier-replay-") as temporary:
        out = output or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        judge(folder, out, console)
        return _held([(name, folder / name, out / name) for name in JUDGED], _changed(was))


def _held(files: Iterable[tuple[str, Path, Path]], versions: list[str]) -> Replay:
    """Name, old and new place of each file, byte against byte."""
    differences, sizes = [], {}
    for name, was, now in files:
        old, new = was.read_bytes() if was.is_file() else b"", now.read_bytes()
        sizes[name] = len(old), len(new)
        if old != new:
            differences += [f"{name}: {line}" for line in _differing(name, old, new)]
    return Replay(not differences, tuple(versions), tuple(differences), sizes)


def _make(
    recipe: Recipe, done: Mapping[str, Artifact], weights: Mapping[str, str], out: Path, console: Console
) -> None:
    """Judge and report into `out`. weights: name and hash of the model's files, which need not be there."""
    from metier.evaluate.stage import evaluate
    from metier.report.stage import report
    from metier.run import Context
    from metier.runs import facts

    judged = out / "evaluate"
    judged.mkdir(parents=True, exist_ok=True)
    evaluate(
        recipe.evaluate, recipe.task, recipe.seed, done["prepare"], done["predictions"], judged, console,
        done.get("checks"), done["collect"].path / "documents.parquet",
    )  # fmt: skip
    again = {name: artifact for name, artifact in done.items() if name != "report"}
    again["evaluate"] = replace(done["evaluate"], path=judged)
    context = Context(Path(), Store(out / "none"), out, console, done=again)
    told = facts(recipe, context, done["report"].identity["earlier_criteria"])
    report(recipe.report, {**told, "model_files": dict(weights)}, out, console)


def _artifacts(folder: Path, stages: Mapping[str, Any]) -> dict[str, Artifact]:
    """Every artifact of the run: behind its link, as a copy, or in the store."""
    from metier.run import ORDER

    store = Store(Path(os.environ.get("METIER_STORE") or ".metier/store"))
    found: dict[str, Artifact] = {}
    for stage in [name for name in ORDER if name in stages]:  # in the order in which the run had them
        told = stages[stage]
        artifact = _one(folder / "artifacts", stage, told["fingerprint"], store)
        if artifact is None:
            raise UserError(f"what the stage '{stage}' wrote is not there", str(folder / "artifacts" / stage),
                            "bring the store, or copy the run with its links followed: cp -rL")  # fmt: skip
        if artifact.fingerprint != told["fingerprint"]:
            raise UserError(f"the stage '{stage}' belongs to another run", str(artifact.path),
                            f"bring the one with fingerprint {told['fingerprint']}")  # fmt: skip
        found[stage] = artifact
    if missing := [stage for stage in NEEDED if stage not in found]:
        raise UserError(f"the run has no stage {', '.join(missing)}", str(folder / "run.json"), "run it again")
    return found


def _one(folder: Path, stage: str, fingerprint: str, store: Store) -> Artifact | None:
    named = folder / f"{stage}.path.txt"  # where there are no links
    for path in (folder / stage, Path(named.read_text(encoding="utf-8").strip()) if named.is_file() else None):
        if path is not None and (path / RECORD).is_file():
            return Artifact.load(path)
    return store.find(stage, fingerprint)


def _recipe(folder: Path, reported: Artifact) -> Recipe:
    """The recipe as the report tells it; UserError when it is not the one whose fingerprint the report has."""
    from pydantic import ValidationError

    told = results_of(folder).get("recipe")
    try:
        recipe = Recipe.model_validate(told)
    except ValidationError as error:
        raise UserError(
            "the recipe in results.json is not one of this version", str(folder / "results.json"),
            f"replay it with the version that made it ({error.error_count()} mistakes)",
        ) from error  # fmt: skip
    same = json.loads(json.dumps({"recipe": recipe.identity()}))
    if reported.identity["config"] != same:
        raise UserError("the recipe in results.json is not the one that was run", str(folder / "results.json"),
                        "the file was changed, or made by another version; run it again")  # fmt: skip
    return recipe


def _versions(done: Mapping[str, Artifact]) -> list[str]:
    """Packages and stages whose version is another than when the run was judged."""
    from metier.run import VERSIONS

    stages = {stage: (done[stage].identity["version"], VERSIONS[stage]) for stage in ("evaluate", "report")}
    told = [f"{name}: {then} then, {today} now" for name, (then, today) in stages.items() if then != today]
    return told + _changed(done["evaluate"].environment.get("packages", {}))


def _changed(was: Mapping[str, str]) -> list[str]:
    """Packages whose version is another one now."""
    now = environment()["packages"]
    return [
        f"{name}: {was.get(name)} then, {now.get(name)} now" for name in LIBRARIES if was.get(name) != now.get(name)
    ]


def _differing(name: str, old: bytes, new: bytes) -> list[str]:
    """What differs, for people: fields of JSON, the first line of a text, sizes of the rest."""
    if not old:
        return ["is missing in the run"]
    if name.endswith(".json"):
        try:
            lines = list(_fields(json.loads(old), json.loads(new)))
        except ValueError:
            return ["is no JSON in the run"]
        more = [f"and {len(lines) - MOST} more fields"] if len(lines) > MOST else []
        return lines[:MOST] + more or ["the same values, written in another way"]
    if name.endswith(".parquet"):
        return [f"{len(old)} bytes in the run, {len(new)} now"]
    was, now = (text.decode("utf-8", "replace").splitlines() for text in (old, new))
    at = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    return [f"from line {at + 1} on ({len(was)} lines in the run, {len(now)} now)"]


def _fields(was: Any, now: Any, field: str = "") -> list[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        keys = sorted({*was, *now})
        return [line for key in keys for line in _fields(was.get(key), now.get(key), f"{field}.{key}".lstrip("."))]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [line for i, both in enumerate(zip(was, now, strict=True)) for line in _fields(*both, f"{field}[{i}]")]
    return [] if was == now else [f"{field}: {_short(was)} in the run, {_short(now)} now"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
