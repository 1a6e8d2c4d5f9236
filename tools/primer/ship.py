"""Put a trained base into the package: bfloat16 weights, tokenizer, hash, and a card with what was measured.

Purpose: what ships is made by one command from what training left, and every figure on the card is read from the run's
own records (funnel, history, the benchmark's output) rather than typed. Weights are rounded to bfloat16, which halves
the file; the card's figures are measured on what ships.
Not covered: training (make.py), measuring (benchmarks/base.py).

    python tools/primer/ship.py weights WORK/settled/model primer
    python benchmarks/base.py ... > WORK/figures.md
    python tools/primer/ship.py card WORK primer
"""

from __future__ import annotations

import argparse
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BASES = ROOT / "src" / "metier" / "bases"
NOTES = {
    "primer": "English and Chinese, {weights} M parameters, up to 512 tokens; for trying things out",
    "primer-instruct": "primer, tuned to answer briefly about a given text",
}
CARDS = {name: Path(__file__).with_name(f"{name}.md") for name in NOTES}


def weights(model: Path, name: str) -> None:
    """Write BASES/name and its line in bases.json."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from metier.artifact import hash_file

    out = BASES / name
    card = out / "README.md"
    kept = card.read_text(encoding="utf-8") if card.is_file() else ""
    shutil.rmtree(out, ignore_errors=True)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network.generation_config.eos_token_id = [tokenizer.eos_token_id]
    network.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that every version of Transformers knows
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")
    for file in out.iterdir():
        file.chmod(0o644)  # the weights are written for their owner alone
    if kept:
        card.write_text(kept, encoding="utf-8")
    count = sum(parameter.numel() for parameter in network.parameters())
    listing = BASES / "bases.json"
    told = json.loads(listing.read_text(encoding="utf-8"))
    told[name] = {
        "model": f"metier/{name}", "sha256": hash_file(out / "model.safetensors"), "license": "cc-by-sa-4.0",
        "note": NOTES[name].format(weights=f"{count / 1e6:.1f}"),
        "files": {file.name: hash_file(file) for file in sorted(out.iterdir())
                  if file.suffix in (".json", ".jinja")},
    }  # fmt: skip
    listing.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: {count:,} weights, {size / 1e6:.1f} MB", flush=True)


def card(work: Path, name: str) -> None:
    """Fill the card's template with the figures of the run."""
    filled = CARDS[name].read_text(encoding="utf-8")
    for key, value in (facts(work) if name == "primer" else tuned_facts(work)).items():
        filled = filled.replace("{" + key + "}", value)
    (BASES / name / "README.md").write_text(filled, encoding="utf-8")


def facts(work: Path) -> dict[str, str]:
    """What the card tells, by the names that stand in its template."""
    notes = json.loads((work / "notes.json").read_text(encoding="utf-8"))
    record = json.loads((work / "examples" / "artifact.json").read_text(encoding="utf-8"))
    summary = json.loads((work / "settled" / "summary.json").read_text(encoding="utf-8"))
    funnel = ["| step | rows | removed | note |", "| --- | ---: | ---: | --- |"] + [
        f"| {step['step']} | {step['rows']:,} | {step['removed']:,} | {step['note']} |"
        for step in record["summary"]["funnel"]
    ]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "weights": f"{notes['weights']:,}", "vocabulary": f"{notes['vocabulary']:,}",
        "tokens": f"{summary['tokens']:,}", "steps": f"{summary['steps']:,}",
        "hours": f"{summary['seconds'] / 3600:.1f}", "rate": f"{summary['tokens'] / summary['seconds']:,.0f}",
        "fall": f"{notes['settled_for']:,}", "peak_rate": f"{summary['learning_rate']:g}",
        "funnel": "\n".join(funnel), "curve": curve(summary["history"]),
        "figures": (work / "figures.md").read_text(encoding="utf-8").strip(),
    }  # fmt: skip


def tuned_facts(work: Path) -> dict[str, str]:
    """Likewise of the instructed variant, from the results of its run."""
    results = json.loads((work / "instruct" / "results.json").read_text(encoding="utf-8"))
    metrics = {"bits_per_byte": "bits per byte", "rouge_l": "ROUGE-L", "exact_match": "exact match"}
    lines = [f"| model | {' | '.join(metrics.values())} |", "| --- | ---: | ---: | ---: |"]
    for model, figures in results["models"].items():
        values = [figures[metric]["value"] if isinstance(figures.get(metric), dict) else figures.get(metric)
                  for metric in metrics]  # fmt: skip
        lines.append(f"| {model} | {' | '.join('' if value is None else f'{value:.3f}' for value in values)} |")
    training = json.loads((work / "instruct" / "training.json").read_text(encoding="utf-8"))
    return {
        "date": datetime.now(UTC).date().isoformat(), "examples": f"{training['examples']['train']:,}",
        "asked": f"{results['data']['test']:,}", "tuned_steps": f"{training['steps']:,}",
        "instructed": "\n".join(lines),
    }  # fmt: skip


def curve(history: list[dict[str, Any]]) -> str:
    """The loss curve as a table, at most some twenty lines."""
    step = max(1, len(history) // 20)
    shown = [*history[::-step][::-1]]
    lines = ["| step | learning rate | loss in training | loss on validation, nats a token |",
             "| ---: | ---: | ---: | ---: |"]  # fmt: skip
    lines += [f"| {line['step']:,} | {line['learning_rate']:.1e} | {line['train_loss']:.3f} "
              f"| {line['validation_loss']:.3f} |" for line in shown]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("weights", "card"):
        step = steps.add_parser(name)
        step.add_argument("folder", type=Path, help="the model" if name == "weights" else "the run")
        step.add_argument("name", choices=sorted(NOTES))
    given = parser.parse_args()
    (weights if given.step == "weights" else card)(given.folder, given.name)


if __name__ == "__main__":
    main()
