"""A whole model from a base and its adapter, and the proof that it answers as before.

Purpose: what an adapter learned is added into the weights of its base, so that any program that knows the base's kind
loads the result without PEFT. The merged model is written, loaded again from the disk and asked the same questions as
the adapter; the largest difference of any output is told, recorded, and refused where it is more than rounding.
Trade-off: a merged model is as large as its base, and one more copy of it for each adapter; asking twice takes seconds.
Not covered: several adapters at once; formats of other programs.
Lineage: `merged` in metier.json names the base (SHA-256 over its weights) and each file of the adapter by its SHA-256.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.artifact import hash_file
from metier.console import Console
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import EXAMPLES as COLUMNS
from metier.tables import table, write_json
from metier.train.chat import stop_tokens
from metier.train.model import FILE, TunedModel, load, save
from metier.train.pairs import UNMERGED
from metier.train.tasks.base import EXAMPLES

ASKED = 16  # examples that adapter and merged model are both asked
# Largest difference of an output (a logit, nats a learned token, a number of a vector), relative to the largest output
# where that is above 1. Merging in float32 only rounds; of a base that computes in bfloat16 (8 bits of mantissa, so
# 0.4 % an operation) the merged float32 weights are the more exact ones.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
LEARNED = ("adapter_model*.safetensors", "adapter_config.json", "head.safetensors", "quantization.json")


def whole(method: Any) -> bool:
    """Whether what a method saves needs no base."""
    return not getattr(method, "needs_base", True)


def check_merges(name: str, where: str) -> None:
    """UserError where a method of that name saves nothing that could be merged."""
    if not whole(method := lookup("method", name)) and not hasattr(method, "merge"):
        raise UserError(
            f"a model of the method '{name}' cannot be merged: {UNMERGED.get(name, 'it saves no adapter')}", where,
            "use the model as it is, or train with lora, qlora or full",
        )  # fmt: skip


def merge(model: TunedModel, source: Path, out: Path, examples: pa.Table, console: Console) -> dict[str, Any]:
    """Write the whole model of the adapter in `source`, which `model` was loaded from, into `out`; returns its lineage.

    `model` is used up: its weights are merged in place and then forgotten. examples: what both are asked.
    """
    facts = json.loads((source / FILE).read_text(encoding="utf-8"))
    check_merges(facts["method"], str(source))
    exact = replace(model, bf16=False)  # autocast would round more than a merge may change
    told = {
        "method": facts["method"], "base_sha256": facts["base"]["sha256"], "adapter_sha256": hashes(source),
        **getattr(model.method, "merging", lambda module: {})(model.module),
    }  # fmt: skip
    before = answers(exact, examples)
    model.method.merge(model.module)
    if model.task.rows == EXAMPLES:
        model.module.end_with(stop_tokens(model.encoder.tokenizer))
    kept = facts | {"method": "full", "needs_base": False, "base_path": "", "merged": told}
    save(out, model.module, lookup("method", "full"), model.encoder.tokenizer, kept)
    device = next(model.module.parameters()).device.type
    model.module.to("meta")  # its memory is needed for the copy that is read now
    after = answers(replace(load(out, device), bf16=False), examples)
    told |= {"asked": len(before), "difference": _difference(before, after)}
    write_json(kept, out / FILE)
    limit = TOLERANCE[told.get("computed_in", "float32")] * max(1.0, _largest(before))
    if not told["difference"] <= limit:
        raise UserError(
            f"the merged model answers otherwise than its adapter: an output differs by {told['difference']:.1e}, more "
            f"than {limit:.0e}", str(source),
            "keep the adapter, and report this: the base and the settings of train.lora help to find the cause",
        )  # fmt: skip
    into = f", into {told['into']}" if "into" in told else ""
    console.say(f"  merged{into}: {told['asked']:,} outputs differ by at most {told['difference']:.1e} "
                f"from the adapter's (allowed: {limit:.0e})")  # fmt: skip
    return told


def answers(model: TunedModel, examples: pa.Table) -> np.ndarray:
    """(n,) float64: every output for the examples: logits, numbers of vectors, or nats a learned token."""
    quiet = Console(quiet=True)
    encoded = model.task.encode(model.encoder, examples, quiet)
    rows = np.asarray(model.logits(encoded), np.float64)
    if model.task.rows == EXAMPLES:
        learned = [max(1, one.labelled) for family in encoded.items for one in family]
        rows = rows / np.array(learned, np.float64)[:, None]
    return rows.ravel()


def asked_of(examples: pa.Table | None, model: TunedModel) -> pa.Table:
    """The examples that both models are asked: of the validation split, of any split, or drawn from the vocabulary."""
    if examples is None or not examples.num_rows:
        return drawn(model)
    held = examples.filter(pa.compute.equal(examples["split"], "validation"))
    return (held if held.num_rows else examples).slice(0, ASKED)


def drawn(model: TunedModel) -> pa.Table:
    """ASKED examples of words drawn from the tokenizer's vocabulary, with whatever any task reads."""
    tokenizer, config = model.encoder.tokenizer, model.task.config
    generator = np.random.default_rng(0)

    def words(count: int) -> str:
        ids = generator.integers(0, len(tokenizer), count).tolist()
        return " ".join(tokenizer.decode(ids, skip_special_tokens=True).split()) or "?"

    rows: list[dict[str, Any]] = []
    for number in range(ASKED):
        first, second, third, fourth = config.markers
        text = f"{words(4)} {first}{words(2)}{second} {words(3 * number + 1)} {third}{words(2)}{fourth} {words(3)}"
        turns = [{"role": "user", "content": words(6)}]
        rows.append({
            "id": str(number), "text": text, "pair": words(5), "answer": words(4), "messages": json.dumps(turns),
            "chosen": words(4), "rejected": words(4), "negatives": [words(5)], "split": "validation",
        })  # fmt: skip
    return table(rows, COLUMNS)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of an adapter, as `sha256sum` prints it."""
    return {file.name: hash_file(file) for pattern in LEARNED for file in sorted(folder.glob(pattern))}


def _largest(values: Sequence[float] | np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _difference(before: np.ndarray, after: np.ndarray) -> float:
    """The largest one; infinite where one of the models gives no number."""
    found = _largest(before - after)
    return found if math.isfinite(found) else math.inf
