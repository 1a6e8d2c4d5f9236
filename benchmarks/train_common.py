"""What the benchmarks of training share: real data as token ids, a random model, contestants one after the other.

Data are read where METIER_DATA_MIRROR says. The tokenizer is a BPE of 16,000 tokens learned from the data at hand, so
that no weights and no vocabulary have to be fetched. The model is Llama-like and random, 26 M parameters unless said
otherwise.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOCABULARY = 16_000
MODEL = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 6,
         "num_key_value_heads": 6, "max_position_embeddings": 8192}  # fmt: skip
# 0.7 B parameters with 16,000 tokens, for a GPU.
LARGE = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 16, "num_attention_heads": 32,
         "num_key_value_heads": 8, "max_position_embeddings": 8192}  # fmt: skip
LIMIT = 3600  # seconds for one contestant


@dataclass(frozen=True)
class Asked:
    """A document (or nothing) with its questions and answers."""

    document: str
    pairs: tuple[tuple[str, str], ...]


def contract_nli(root: Path) -> Iterator[Asked]:
    """17 hypotheses about each contract."""
    content = json.loads((root / "legal/contract-nli/dev.json").read_text(encoding="utf-8"))
    for one in content["documents"]:
        choices = one["annotation_sets"][0]["annotations"]
        yield Asked(one["text"], tuple((content["labels"][name]["hypothesis"], found["choice"])
                                       for name, found in choices.items()))  # fmt: skip


def tatqa(root: Path) -> Iterator[Asked]:
    """6 questions about each table with its paragraphs."""
    for one in json.loads((root / "finance/tatqa/tatqa_dataset_dev.json").read_text(encoding="utf-8")):
        lines = [" | ".join(row) for row in one["table"]["table"]] + [part["text"] for part in one["paragraphs"]]
        pairs = []
        for asked in one["questions"]:
            answer = asked["answer"]
            pairs.append((asked["question"], "; ".join(answer) if isinstance(answer, list) else str(answer)))
        yield Asked("\n".join(lines), tuple(pairs))


def mts_dialog(root: Path) -> Iterator[Asked]:
    """Two questions about each conversation of doctor and patient: which part of the note, and that part."""
    with (root / "health/mts-dialog/MTS-Dialog-TrainingSet.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield Asked(row["dialogue"], (("Which part of the note is this?", row["section_header"]),
                                          ("Write that part of the note.", row["section_text"])))  # fmt: skip


def huatuo_zh(root: Path) -> Iterator[Asked]:
    """Chinese medical instructions, an answer each."""
    with (root / "health/huatuo-zh/data/llama_data.json").open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            yield Asked("", ((row["instruction"] + row["input"], row["output"]),))


def medquad(root: Path) -> Iterator[Asked]:
    """Questions about health, answered at length."""
    import pyarrow.parquet as parquet

    for row in parquet.read_table(root / "health/medquad/medquad.parquet").to_pylist():
        if row["answer"]:
            yield Asked("", ((row["question"], row["answer"]),))


def pubmedqa(root: Path) -> Iterator[Asked]:
    """An abstract and a question about it, answered by a word: a long prompt and a short answer."""
    for path in sorted((root / "health/pubmedqa").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in content.values() if isinstance(content, dict) else ():
            if isinstance(row, dict) and "CONTEXTS" in row:
                yield Asked("", (("\n".join([*row["CONTEXTS"], row["QUESTION"]]), row["final_decision"]),))


SETS: dict[str, Callable[[Path], Iterator[Asked]]] = {
    "contract-nli": contract_nli, "tatqa": tatqa, "mts-dialog": mts_dialog, "huatuo-zh": huatuo_zh, "medquad": medquad,
    "pubmedqa": pubmedqa,
}  # fmt: skip


def rows_of(name: str, tokenizer: Any, tokens: int, window: int, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """(to train on, held out): lists of documents, each a list of rows of `train_contestant.read`, in a drawn order.

    tokens: so many are trained on, each question counted with its document; a tenth as many are held out. Documents of
    which a question does not fit `window` are left out, for every contestant alike.
    """
    found: list[list[dict[str, Any]]] = []
    asked = list(SETS[name](mirror()))
    random.Random(seed).shuffle(asked)
    wanted, count = tokens * 1.1, 0
    for one in asked:
        head = tokenizer.encode(one.document + "\n\n").ids if one.document else []
        rows = []
        for question, answer in one.pairs:
            prompt = [*head, *tokenizer.encode(question + "\n").ids]
            rows.append({"ids": [*prompt, *tokenizer.encode(answer).ids, 1], "start": len(prompt)})
        if max(len(row["ids"]) for row in rows) <= window:
            found.append(rows)
            count += sum(len(row["ids"]) for row in rows)
        if count >= wanted and len(found) > 1:
            break
    held = max(1, len(found) // 11)
    return found[held:], found[:held]


def mirror() -> Path:
    """Where the data lie."""
    if not os.environ.get("METIER_DATA_MIRROR"):
        sys.exit("set METIER_DATA_MIRROR to the folder with the data sets (docs/guide/data.md)")
    return Path(os.environ["METIER_DATA_MIRROR"])


def tokenizer_for(names: list[str], folder: Path) -> Any:
    """A byte-level BPE learned from the first 200,000 characters of each set, saved for Transformers into `folder`."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<pad>", "</s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    tokenizer.train_from_iterator(_texts(names), trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>") \
        .save_pretrained(folder)  # fmt: skip
    return tokenizer


def _texts(names: list[str]) -> Iterator[str]:
    for name in names:
        size = 0
        for one in SETS[name](mirror()):
            parts = [one.document, *(text for pair in one.pairs for text in pair)]
            yield "\n".join(parts)
            size += sum(map(len, parts))
            if size > 200_000:
                break


def save_model(folder: Path, vocabulary: int = VOCABULARY, sizes: dict[str, int] | None = None) -> int:
    """A random Llama-like model, the same each time; its parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=vocabulary, tie_word_embeddings=vocabulary > 100_000, pad_token_id=0,
                         bos_token_id=None, eos_token_id=1, **sizes or MODEL)  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def contest(name: str, python: str, folder: Path, job: dict[str, Any]) -> dict[str, Any] | str:
    """What `train_contestant.py` says of one contestant, or why there is nothing."""
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "result.json").unlink(missing_ok=True)
    state = folder / "state" / "state.pt"
    state.unlink(missing_ok=True)
    script = Path(__file__).with_name("train_contestant.py")
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(job["threads"]),
             "HF_DATASETS_CACHE": str(folder / "cache"), "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore"}  # fmt: skip
    environment = {**os.environ, **quiet}
    if name != "metier":
        environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run([python, str(script), name, str(folder)], capture_output=True, text=True, timeout=LIMIT,
                              env=environment)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"stopped after {LIMIT} s"
    if done.returncode or not (folder / "result.json").is_file():
        return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:200]
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def table(columns: list[str], rows: list[list[Any]]) -> None:
    """Markdown; the first column is text, the others are figures."""
    print("| " + " | ".join(columns) + " |\n| --- |" + " ---: |" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
