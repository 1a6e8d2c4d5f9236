"""The human view of a run: `runs/<name>/` with the recipe, the report, the figures and links to the artifacts.

Purpose: what a person opens. Everything in it comes from the store and can be made again; nothing reads it back.
On systems without symbolic links a small text file names the artifact's folder instead.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metier.artifact import hash_file
from metier.collect.download import SCHEME
from metier.console import Console
from metier.errors import UserError
from metier.prepare.files import with_paths
from metier.recipe import Recipe, dump
from metier.tables import read, write_json

if TYPE_CHECKING:
    from metier.run import Context


def facts(recipe: Recipe, context: Context, earlier: list[list[str]] | None = None) -> dict[str, Any]:
    """Everything the report is made from, as plain values.

    earlier: criteria under which the same answers were judged before; without it the store is asked.
    """
    from metier.run import earlier_criteria

    done = context.done
    results = json.loads((done["evaluate"].path / "results.json").read_text(encoding="utf-8"))
    listed = recipe.evaluate.listed_cases
    cases = read(done["evaluate"].path / "cases.parquet").to_pylist()
    shown = [case for kind in ("broken", "mended") for case in [c for c in cases if c["kind"] == kind][:listed]]
    rejected = [
        row for stage in ("collect", "prepare") for row in read(done[stage].path / "rejected.parquet").to_pylist()
    ]
    return {
        "name": recipe.name, "recipe": recipe.model_dump(mode="json"),
        "fingerprints": {stage: artifact.fingerprint for stage, artifact in done.items()},
        "collect": done["collect"].summary, "prepare": done["prepare"].summary,
        "train": done["train"].summary, "predictions": done["predictions"].summary, "results": results,
        "cases": shown, "rejected": rejected,
        "conflicts": read(done["prepare"].path / "conflicts.parquet").to_pylist(),
        "earlier_criteria": earlier_criteria(context) if earlier is None else earlier,
        "environment": done["train"].environment,
        "command": f"metier run runs/{recipe.name}/recipe.yaml",
        "seconds": {stage: artifact.seconds for stage, artifact in done.items()},
        "chosen": None if context.chosen is None else vars(context.chosen),
        "lineage": _lineage(context, rejected), "model_files": _weights(done["train"].path / "model"),
    }  # fmt: skip


def _lineage(context: Context, rejected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a source file: see report/lineage.py."""
    import pyarrow.parquet as pq

    from metier.report.lineage import trace

    done = context.done
    documents = pq.read_table(done["collect"].path / "documents.parquet", columns=["source"])["source"]
    examples = pq.read_table(done["prepare"].path / "examples.parquet", columns=["source", "split"])
    files = done["collect"].identity["config"].get("files") or []
    both = zip(examples["source"].to_pylist(), examples["split"].to_pylist(), strict=True)
    return trace(files, documents.to_pylist(), both, rejected)


@functools.cache
def _weights(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of weights of the tuned model, by name."""
    return {path.name: hash_file(path) for path in sorted(folder.glob("*.safetensors"))}


def check_view(recipe: Recipe, context: Context) -> None:
    """UserError when runs/<name>/ is something that Metier did not write."""
    final = context.runs / recipe.name
    if (final.exists() or final.is_symlink()) and not (final / "run.json").is_file():
        raise UserError(
            "this folder was not written by Metier and is left alone", str(final),
            "move it away, or give the run another name: name=...",
        )  # fmt: skip


def write_view(recipe: Recipe, context: Context) -> Path:
    """Write runs/<name>/ and return its path; an older view of the same name is replaced.

    recipe.yaml is complete, and its paths start from its new place, so that `metier run` on it repeats the run.
    """
    check_view(recipe, context)
    final = context.runs / recipe.name
    fresh = context.runs / f".{recipe.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in context.done["report"].path.iterdir():
        if file.is_dir():
            shutil.copytree(file, fresh / file.name)
        elif file.name != "artifact.json":
            shutil.copy2(file, fresh / file.name)
    (fresh / "recipe.yaml").write_text(dump(moved(recipe, context.base, final)), encoding="utf-8")
    write_json(
        {"command": context.command, "stages": {stage: {"fingerprint": a.fingerprint, "seconds": a.seconds,
         "created": a.created, "reused": stage not in context.fresh} for stage, a in context.done.items()},
         "model_files": _weights(context.done["train"].path / "model")},
        fresh / "run.json",
    )  # fmt: skip
    for stage, artifact in context.done.items():
        _link(fresh / "artifacts" / stage, artifact.path)
    _link(fresh / "model", context.done["train"].path / "model")
    if final.exists():
        shutil.rmtree(final)
    os.replace(fresh, final)
    context.console.say(f"report: {final / 'report.html'}")
    return final


def all_runs(root: Path, console: Console) -> list[dict[str, Any]]:
    """Name, verdict, main figure and time of every run under `root`; a damaged one is named in a warning."""
    found = []
    for path in sorted(root.glob("*/run.json")):
        results = path.parent / "results.json"
        if results.is_file():
            try:
                found.append(_line(path, results))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                console.warn(f"{path.parent} is damaged and left out ({type(error).__name__}: {error})")
    return found


def _line(record_file: Path, results_file: Path) -> dict[str, Any]:
    """One run of `all_runs`; of damaged files it raises what they raise. Without a tuned model there is no figure."""
    figures = json.loads(results_file.read_text(encoding="utf-8"))
    record = json.loads(record_file.read_text(encoding="utf-8"))
    metric = str(figures.get("primary", ""))
    value = figures.get("models", {}).get("tuned", {}).get(metric, {}).get("value")
    return {
        "name": record_file.parent.name, "decision": str(figures["verdict"]["decision"]), "metric": metric,
        "value": None if value is None else float(value), "created": str(record["stages"]["report"]["created"]),
    }  # fmt: skip


def moved(recipe: Recipe, base: Path, folder: Path) -> Recipe:
    """The recipe with its relative paths, which start from `base`, written so that they start from `folder`."""

    def placed(path: str) -> str:
        if path.startswith((SCHEME, "~")) or os.path.isabs(path):
            return path
        try:
            return Path(os.path.relpath(base / path, folder)).as_posix()
        except ValueError:  # another drive
            return str((base / path).absolute())

    prepare = with_paths(recipe.prepare, lambda path, name, is_file: placed(path))
    data = {**recipe.model_dump(mode="json"), "prepare": prepare.model_dump(mode="json")}
    for source in data["collect"]["sources"]:
        source["path"] = placed(source["path"])
        source["only"] = placed(source["only"]) if source["only"] else ""
    if data["collect"]["index"]:
        data["collect"]["index"]["path"] = placed(data["collect"]["index"]["path"])
    if (base / data["train"]["base_model"]).is_dir():
        data["train"]["base_model"] = placed(data["train"]["base_model"])
    return Recipe.model_validate(data)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Relative to the final place: the view is renamed from ".<name>.new" to "<name>", at the same depth.
        link.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()), target_is_directory=True)
    except OSError:
        link.with_suffix(".path.txt").write_text(f"{target.absolute()}\n", encoding="utf-8")
