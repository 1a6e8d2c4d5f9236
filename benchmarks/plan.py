"""Is the plan true? Predicted peak memory and time of training beside what is then measured, case by case.

Each case runs twice in fresh processes: once `metier plan`'s prediction, once the training itself with the same
recipe, on the embedded bank messages or on invented texts. Seconds are of the processor with one thread, so that other
programs on the machine disturb neither side; memory is the largest resident set of the training process.

    python benchmarks/plan.py [--only NAME ...] [--epochs 1]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOKENS = {"vocab_size": 30522, "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
# name -> (random base or minilm, task, overrides)
CASES: dict[str, tuple[str, str, list[str]]] = {
    "MiniLM, classify, full": ("minilm", "classify", []),
    "MiniLM, classify, lora": ("minilm", "classify", ["train.method=lora"]),
    "MiniLM, classify, frozen": ("minilm", "classify", ["train.method=frozen"]),
    "MiniLM, tag, full": ("minilm", "tag", []),
    "encoder 20 M, classify, full": ("encoder", "classify", []),
    "encoder 20 M, classify, lora": ("encoder", "classify", ["train.method=lora"]),
    "encoder 92 M, classify, full (carried on)": ("deep", "classify", ["train.max_length=64"]),
    "Llama-like 29 M, classify, full": ("llama", "classify", []),
    "Llama-like 29 M, generate, full": ("llama", "generate", []),
    "Llama-like 29 M, generate, lora": ("llama", "generate", ["train.method=lora"]),
    "Llama-like 29 M, pretrain, full": ("llama", "pretrain", []),
}
WORDS = (
    "account balance branch card charge client country credit customer date deposit fee form fund income interest "
    "invoice letter limit loan month note office order payment period rate receipt refund request sum tax term week "
    "year arrived asked closed lost opened paid received sent and at for from in my of on the to with"
)
ROWS = 300  # of the invented data
MEDIAN = 60  # words of a text; lengths are log-normal, as those of real messages about are


def data(task: str, folder: Path) -> str:
    """Invented texts of very different lengths and a recipe for them; returns what `metier run` would be given."""
    if task == "classify":
        return "quickstart/bank-messages"
    draw, lines = random.Random(0), []
    for _ in range(ROWS):
        words = draw.choices(WORDS.split(), k=min(400, max(5, round(draw.lognormvariate(math.log(MEDIAN), 0.7)))))
        text = " ".join(words) + "."
        row: dict[str, Any] = {"text": text}
        if task == "tag":
            row["spans"] = [{"start": found.start(), "end": found.end(), "label": "Sum"}
                            for found in re.finditer(r"\b(fee|sum|payment)\b", text)]  # fmt: skip
        if task == "generate":
            row = {"prompt": text, "completion": " ".join(words[:12])}
        lines.append(json.dumps(row))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    file = folder / "recipe.yaml"
    file.write_text(f"name: plan\ntask: {task}\ncollect:\n  sources:\n    - {{path: data.jsonl}}\n")
    return str(file)


def build(kind: str, folder: Path) -> str:
    """A random base with MiniLM's vocabulary; returns what a recipe calls it."""
    if kind == "minilm":
        return kind
    import torch
    import transformers

    from metier.train.bases import MEANING, resolve

    configs = {
        "encoder": lambda: transformers.BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1024, **TOKENS),
        "deep": lambda: transformers.BertConfig(
            hidden_size=640, num_hidden_layers=14, num_attention_heads=10, intermediate_size=2560, **TOKENS),
        "llama": lambda: transformers.LlamaConfig(
            hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=1024,
            num_key_value_heads=4, **TOKENS),
    }  # fmt: skip
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM if kind == "llama" else transformers.AutoModel
    made.from_config(configs[kind]()).save_pretrained(folder)
    source = resolve("minilm").path
    for pattern in MEANING:
        for file in source.glob(pattern):
            if file.name != "config.json" and file.parent == source:
                shutil.copyfile(file, folder / file.name)
    return str(folder)


def child(side: str, name: str, recipe: list[str]) -> dict[str, Any]:
    """One side of one case, in this process."""
    from metier.console import Console, quiet_libraries
    from metier.finding import find_recipe
    from metier.run import default_context, run

    quiet_libraries()
    found, folder = find_recipe(name, None, recipe)
    context = default_context(folder, Console(quiet=True))
    done = run(found, context, until="prepare")
    if side == "plan":
        from metier.train.plan import plan

        start = time.process_time()
        made = plan(found.train, found.task, found.seed, done["prepare"], context.store.root, folder)
        return {
            "memory": made.peak / 1e6, "seconds": made.seconds * made.processors, "steps": made.steps,
            "cost": time.process_time() - start, "parts": {item.name: item.size / 1e6 for item in made.memory},
        }  # fmt: skip
    from metier.train import loop, methods

    spent = [0.0]

    def timed(owner: Any, name: str, static: bool = False) -> None:
        work = getattr(owner, name)

        def measured(*arguments: Any) -> Any:
            start = time.process_time()
            answer = work(*arguments)
            spent[0] += time.process_time() - start
            return answer

        setattr(owner, name, staticmethod(measured) if static else measured)

    timed(loop, "fit")
    if found.train.method == "frozen":
        timed(methods.frozen.Frozen, "inputs", static=True)
    summary = run(found, context, until="train")["train"].summary
    return {"memory": summary["peak_memory_mb"], "seconds": spent[0], "steps": summary["steps"]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print("RESULT" + json.dumps(child(given.child[0], given.child[1], given.child[2:])))
        return
    print("| case | peak memory, predicted | measured | | processor seconds, predicted | measured | | steps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in given.only:
        kind, task, changes = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            base = build(kind, Path(folder) / "base")
            recipe = [f"train.base_model={base}", f"train.epochs={given.epochs}", "train.threads=1", "train.bf16=false",
                      "train.early_stopping=0", "train.device=cpu", *changes]  # fmt: skip
            file = data(task, Path(folder))
            sides = {side: ask(side, [file, *recipe], folder) for side in ("plan", "train")}
        plan, real = sides["plan"], sides["train"]
        off = [f"{plan[key] / real[key] - 1:+.0%}" for key in ("memory", "seconds")]
        steps = f"{plan['steps']} = {real['steps']}" if plan["steps"] == real["steps"] else "differ"
        print(f"| {name} | {plan['memory']:,.0f} MB | {real['memory']:,.0f} MB | {off[0]} | {plan['seconds']:,.1f} | "
              f"{real['seconds']:,.1f} | {off[1]} | {steps} |", flush=True)  # fmt: skip
        print({key: round(value) for key, value in plan["parts"].items()}, round(plan["cost"]), file=sys.stderr)


def ask(side: str, recipe: list[str], folder: str) -> dict[str, Any]:
    """Run this file again for one side, in a process of its own with one thread."""
    where = {**os.environ, "OMP_NUM_THREADS": "1", "METIER_STORE": f"{folder}/store", "METIER_RUNS": f"{folder}/runs"}
    done = subprocess.run([sys.executable, __file__, "--child", side, *recipe], env=where, text=True, check=True,
                          stdout=subprocess.PIPE)  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout.rpartition("RESULT")[2])
    return answer


if __name__ == "__main__":
    main()
