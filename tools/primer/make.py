"""Metier's own small base, from prepared text to the file that ships.

Purpose: the steps, each of which can be stopped and called again; `ship.py` then puts what they made into the package:

    metier prepare general/base                       # prints the folder of the examples
    python tools/primer/make.py blank EXAMPLES WORK   # tokenizer, configuration, first weights
    python tools/primer/make.py held WORK LIST        # ids of the documents that it will never read
    python tools/primer/make.py read WORK             # the task `pretrain`; goes on until it is stopped
    python tools/primer/make.py settle WORK           # a copy learns a little longer while its rate falls to 0
    python tools/primer/make.py take WORK             # or the weights as they are, without settling
    python tools/primer/make.py instruct WORK         # tunes the settled base to answer about a text (instruct.py)

`read` trains at a constant rate, so its end need not be known: stop it whenever there is enough, `settle`, and let it
go on another day. Trade-off: what `settle` learns is learned again by the run that goes on.
Not covered: how the questions are made (instruct.py), what the figures mean (the card).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # so that the module below is found when a test imports this file, too

import shape as shapes  # noqa: E402

SEED = 0
# Share of each source's training documents that is read, so that two hours of a processor see the two languages alike
# and more of the encyclopedias than of the novels. An accelerator reads everything.
READ = {
    "processor": {"wikipedia-en": 0.4, "wikipedia-zh": 0.2, "books-en": 0.05},
    "accelerator": {"wikipedia-en": 1.0, "wikipedia-zh": 1.0, "books-en": 1.0},
}
TOKENIZER_CHARACTERS = {"wikipedia-en": 4_000_000, "wikipedia-zh": 2_500_000, "books-en": 1_000_000}
TRAIN: dict[str, Any] = {
    "method": "full", "max_length": shapes.CONTEXT, "window_overlap": 1, "weight_decay": 0.1, "early_stopping": 0,
    "dropout": 0.0, "optimizer": "muon",
}  # fmt: skip
PACE = {
    "processor": {"batch_size": 6, "learning_rate": 4e-3, "validate_steps": 200},
    "accelerator": {"batch_size": 256, "learning_rate": 2e-3, "validate_steps": 200},
}
LOOKED_AT = {
    "wikipedia-en": 0.6,
    "wikipedia-zh": 0.3,
    "books-en": 0.0,
}  # of the validation documents: some 15,000 tokens
BOOK = 100_000  # characters; a longer text is a book
TUNE = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16}
FOREVER = 1_000_000  # steps; `read` is stopped long before
RISE = 30  # steps in which the learning rate rises


def blank(examples: Path, work: Path, kind: str) -> None:
    """Write WORK/examples (what is read) and WORK/blank (a base that has read nothing)."""
    from metier.tables import read

    table = read(examples / "examples.parquet")
    kept = _shared(table, READ[kind])
    _write_examples(kept, examples, work / "examples")
    train = [row for row in kept.select(["text", "source", "split"]).to_pylist() if row["split"] == "train"]
    texts = (
        piece
        for source, most in TOKENIZER_CHARACTERS.items()
        for piece in shapes.sample((row["text"] for row in train if _name(row["source"]) == source), most)
    )
    tokenizer = shapes.train_tokenizer(texts)
    ids = _tokens(tokenizer, (row["text"] for row in train))
    weights = shapes.blank(shapes.SHAPES[kind], tokenizer, SEED, work / "blank", ids)
    _note(work, {"kind": kind, "weights": weights, "vocabulary": len(tokenizer), "examples": examples.name})
    print(f"{weights:,} weights, {len(tokenizer):,} entries, {len(train):,} documents to read", flush=True)


def _tokens(tokenizer: Any, texts: Any) -> Any:
    """(tokens,) int32 of all texts, one after the other."""
    import itertools

    import numpy as np

    parts = []
    while some := list(itertools.islice(texts, 1000)):
        found = tokenizer(some, add_special_tokens=False, verbose=False)["input_ids"]
        parts.extend(np.array([*ids, tokenizer.eos_token_id], np.int32) for ids in found)
    return np.concatenate(parts)


def held(work: Path, out: Path) -> int:
    """List the ids of the encyclopedias' test documents, so that others can measure on what the base never read."""
    from metier.tables import read

    rows = read(work / "examples" / "examples.parquet", columns=["id", "split", "source"]).to_pylist()
    ids = sorted(row["id"] for row in rows if row["split"] == "test" and "wikipedia" in row["source"])
    head = ["# Documents of the recipe general/base that neither the weights nor the tokenizer of `primer` saw, by id.",
            "# Written by tools/primer/make.py held; collect.sources.N.only reads it."]  # fmt: skip
    out.write_text("\n".join([*head, *ids]) + "\n", encoding="utf-8")
    return len(ids)


def train(work: Path, out: Path, share: float, **settings: Any) -> dict[str, Any]:
    """Metier's own train stage with the task `pretrain` on a share of WORK/examples; resumes from out/state."""
    from metier.artifact import Artifact
    from metier.console import Console
    from metier.recipe import parse
    from metier.tables import read
    from metier.train.stage import train as stage

    kind = _notes(work)["kind"]
    recipe = parse({
        "name": "primer", "task": "pretrain", "seed": SEED,
        "train": {"base_model": str(work / "blank"), **TRAIN, **PACE[kind], **settings},
    })  # fmt: skip
    whole = read(work / "examples" / "examples.parquet")
    part = {name: share * most for name, most in READ[kind].items()}
    out.mkdir(parents=True, exist_ok=True)
    _write_examples(_shared(whole, part), work / "examples", out / "examples")
    return stage(recipe.train, recipe.task, recipe.seed, Artifact.load(out / "examples"), out, Console())


def read(work: Path, share: float) -> None:
    """Read on at a constant rate until stopped."""
    train(work, work / "read", share, max_steps=FOREVER, warmup=RISE / FOREVER, decay=0.0)


def settle(work: Path, share: float, fall: float) -> None:
    """Let a copy's rate fall to 0 over `fall` as many steps as it has behind it; the result is WORK/settled/model."""
    out = work / "settled"
    step = progress(work / "read" / "state")["step"]
    more = max(1, int(step * fall))
    if not (out / "state").is_dir():
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "read" / "state", out / "state")
        _note(work, {"settled_at": step, "settled_for": more})
    notes = _notes(work)
    total = notes["settled_at"] + notes["settled_for"]
    summary = train(work, out, share, max_steps=total, warmup=0.0, decay=notes["settled_for"] / (total - 1))
    (out / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def take(work: Path) -> None:
    """The weights as `read` left them, without settling, in WORK/settled/model: a first look, for little work."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = torch.load(work / "read" / "state" / "state.pt", map_location="cpu", weights_only=True)
    model = AutoModelForCausalLM.from_pretrained(work / "blank", dtype=torch.float32)
    weights = {name.removeprefix("model."): value for name, value in found["weights"].items()}
    assert not model.load_state_dict(weights, strict=False).unexpected_keys
    shutil.rmtree(work / "settled", ignore_errors=True)
    model.save_pretrained(work / "settled" / "model")
    AutoTokenizer.from_pretrained(work / "blank").save_pretrained(work / "settled" / "model")
    done, rate = found["progress"], found["schedule"]["rates"][0]
    summary = {"tokens": done["tokens"], "steps": done["step"], "seconds": done["seconds"], "history": done["history"],
               "learning_rate": rate}  # fmt: skip
    (work / "settled" / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    _note(work, {"settled_at": done["step"], "settled_for": 0})


def instruct(work: Path, documents: int) -> None:
    """Tune the settled base to answer about a text it is given; the result is WORK/instruct/model, with its figures."""
    import instruct as questions

    from metier.artifact import Store
    from metier.console import Console
    from metier.recipe import parse
    from metier.run import Context, run

    out = work / "instruct"
    out.mkdir(exist_ok=True)
    questions.write(work / "examples" / "examples.parquet", out / "questions.jsonl", documents)
    recipe = parse({
        "name": "primer-instruct", "seed": SEED, "task": {"name": "generate", "max_new_tokens": 64},
        "collect": {"sources": [{"path": "questions.jsonl", "columns": {
            "text": "text", "pair": "question", "answer": "answer", "group": "document", "id": "id"}}]},
        "prepare": {"split": {"by": "group", "test": 0.03, "validation": 0.02}, "dedup": {"near": False},
                    "decontaminate": {"action": "off"}},
        "train": {"base_model": str((work / "settled" / "model").absolute()), "method": "full",
                  "max_length": shapes.CONTEXT, "dropout": 0.0, "early_stopping": 0, **TUNE},
        "evaluate": {"accept": ["rouge_l > base", "exact_match > base"]},
    })  # fmt: skip
    done = run(recipe, Context(out, Store(out / "store"), out / "runs", Console()), until="evaluate")
    shutil.copytree(done["train"].path / "model", out / "model", dirs_exist_ok=True)
    shutil.copyfile(done["evaluate"].path / "results.json", out / "results.json")
    (out / "training.json").write_text(json.dumps(done["train"].summary, indent=1), encoding="utf-8")


def progress(state: Path) -> dict[str, Any]:
    """Where a state stands: steps, tokens, seconds, history."""
    import torch

    found = torch.load(state / "state.pt", map_location="cpu", weights_only=True)
    return dict(found["progress"])


def _shared(table: Any, shares: dict[str, float]) -> Any:
    """Training and validation rows of each source as far as its share goes, drawn by a hash of the row; the whole test.

    A held-out book goes from validation to test: validation is looked at every few minutes, and must be short.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from metier.tables import digest

    long = pc.and_(pc.equal(table["split"], "validation"), pc.greater(pc.utf8_length(table["text"]), BOOK))
    place = table.schema.get_field_index("split")
    table = table.set_column(place, table.schema.field(place), pc.if_else(long, "test", table["split"]))

    shares = {"train": shares, "validation": LOOKED_AT}
    rows = zip(table["id"].to_pylist(), table["source"].to_pylist(), table["split"].to_pylist(), strict=True)
    keep = [
        split == "test" or int(digest("primer", id), 16) / 2**64 < shares[split][_name(source)]
        for id, source, split in rows
    ]
    return table.filter(pa.array(keep))


def _name(source: str) -> str:
    """`wikipedia-en` of `wikipedia-en.parquet#12`."""
    return source.rpartition("/")[2].partition(".")[0]


def _write_examples(table: Any, given: Path, folder: Path) -> None:
    from metier.tables import write

    folder.mkdir(parents=True, exist_ok=True)
    write(table, folder / "examples.parquet")
    shutil.copyfile(given / "artifact.json", folder / "artifact.json")


def _notes(work: Path) -> dict[str, Any]:
    path = work / "notes.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _note(work: Path, facts: dict[str, Any]) -> None:
    (work / "notes.json").write_text(json.dumps(_notes(work) | facts, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("blank")
    first.add_argument("examples", type=Path)
    first.add_argument("work", type=Path)
    first.add_argument("--shape", choices=sorted(shapes.SHAPES), default="processor")
    steps.add_parser("take").add_argument("work", type=Path)
    listed = steps.add_parser("held")
    listed.add_argument("work", type=Path)
    listed.add_argument("out", type=Path)
    tuned = steps.add_parser("instruct")
    tuned.add_argument("work", type=Path)
    tuned.add_argument("--documents", type=int, default=4000, help="of each language, that are asked about")
    for name in ("read", "settle"):
        step = steps.add_parser(name)
        step.add_argument("work", type=Path)
        step.add_argument("--share", type=float, default=1.0, help="of the documents: few are tokenised sooner")
    steps.choices["settle"].add_argument("--fall", type=float, default=0.2, help="steps, as a share of those done")
    given = parser.parse_args()
    if given.step == "blank":
        blank(given.examples, given.work, given.shape)
    elif given.step == "read":
        read(given.work, given.share)
    elif given.step == "held":
        print(f"{held(given.work, given.out):,} ids", flush=True)
    elif given.step == "take":
        take(given.work)
    elif given.step == "instruct":
        instruct(given.work, given.documents)
    else:
        settle(given.work, given.share, given.fall)


if __name__ == "__main__":
    main()
