"""The same weights elsewhere: logits, tokens and greedy text in Transformers, in Metier's trainer and in llama.cpp.

Purpose: what was trained and judged here is what another program serves. Transformers' plain forward in float32 is the
measure; beside it Metier's own forward (the one that trains), and llama.cpp after its own converter, at float32 weights
and cache. Prompts are English, Chinese and a conversation by the chat template. Compared are the largest difference of
any logit at any place, the token ids that the tokenizer gives, and the greedy continuation, token by token.
Trade-off: llama.cpp's converter knows a tokenizer by a hash over one text, and its list holds published models only; a
new one must be added by whoever converts, with the rule that it cuts words by. Here that is done from outside (`qwen2`,
whose rule tools/primer/shape.py takes), and the comparison of token ids is what shows that it is right.
Not covered: speed; quantised weights; vLLM.

    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python   # holds llama.cpp with its converter
    python benchmarks/base_elsewhere.py --converter LLAMA.CPP/convert_hf_to_gguf.py --llamacpp VENV/bin/python

The converter runs in this Python, which then needs `sentencepiece`; it brings its own `gguf`. `--llamacpp` is a Python
in which llama-cpp-python is installed. METIER_BENCH_CONVERTER and METIER_BENCH_LLAMACPP name the same. A peer that is
missing has dashes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 1e-3  # largest difference of a logit
WRITTEN = 32  # tokens that are continued
PROMPTS = (
    "The river rises in the hills and flows north through",
    "The bridge was opened in 1912. It is 84 metres long and",
    "该市位于省的南部，",
    "他于1950年出生，\n后来",
    "Prices: 12.50, 3/4 and 100% — 'quoted', it's  two spaces\tand a tab.",
    "🙂 Ωé 混合 mixed text 2026年",
)
QUESTION = "The annual fee is 12 a year and falls due in May.\n\nWhen does the fee fall due?"

# Adds the tokenizer to the converter's list, then runs it as it is.
CONVERT = """
import runpy, sys
sys.path.insert(0, sys.argv[1] + "/gguf-py"); sys.path.insert(0, sys.argv[1])
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
sys.argv = [sys.argv[1] + "/convert_hf_to_gguf.py", sys.argv[2], "--outfile", sys.argv[3], "--outtype", "f32"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SERVE = """
import json, sys
import numpy as np
from llama_cpp import Llama
job = json.load(sys.stdin)
model = Llama(job["file"], n_ctx=512, n_threads=1, logits_all=True, verbose=False, type_k=0, type_v=0, n_gpu_layers=0)
out = []
for text, ids in job["prompts"]:
    model.reset()
    model.eval(ids)
    logits = np.array(model.scores[: len(ids)], dtype=np.float32)
    last, written = logits[-1], []
    while len(written) < job["most"]:
        token = int(last.argmax())
        written.append(token)
        if token == job["end"]:
            break
        model.eval([token])
        last = np.array(model.scores[model.n_tokens - 1])
    found = list(model.tokenize(text.encode(), add_bos=False, special=True))
    out.append({"logits": logits.tolist(), "written": written, "ids": found})
json.dump(out, sys.stdout)
"""


def by_transformers(path: Path, prompts: list[tuple[str, list[int]]], end: int) -> list[dict[str, Any]]:
    """Of each prompt the logits (tokens, vocabulary) and the greedy continuation."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    found = []
    with torch.inference_mode():
        for _, ids in prompts:
            logits = model(torch.tensor([ids])).logits[0].numpy()
            written: list[int] = []
            while len(written) < WRITTEN and end not in written:
                written.append(int(model(torch.tensor([ids + written])).logits[0, -1].argmax()))
            found.append({"logits": logits, "written": written, "ids": ids})
    return found


def by_metier(base: Any, prompts: list[tuple[str, list[int]]]) -> list[dict[str, Any]]:
    """Likewise by the forward that trains; what it writes is what `metier chat` does."""
    import torch

    from metier.console import Console
    from metier.train.answering import write
    from metier.train.chat import stop_tokens
    from metier.train.config import TaskConfig
    from metier.train.model import of_base
    from metier.train.sharing import Example

    model = of_base(base, TaskConfig(name="chat"), "cpu")
    tokenizer = model.encoder.tokenizer
    texts, _ = write(model, [ids for _, ids in prompts], stop_tokens(tokenizer), WRITTEN, Console(quiet=True))
    network, logits = model.module.eval(), []
    with torch.inference_mode():
        for _, ids in prompts:  # with one more token, so that the last one foresees something
            row = Example(np.array([*ids, 0]), np.r_[0, np.ones(len(ids))].astype(np.float32))
            seen = network.labelled([(row,)])
            logits.append(seen.head(seen.states).float().numpy())
    own = [tokenizer(text, add_special_tokens=False)["input_ids"] for text, _ in prompts]
    return [{"logits": one, "text": text, "ids": ids} for one, text, ids in zip(logits, texts, own, strict=True)]


def by_llamacpp(
    path: Path, converter: str, python: str, prompts: list[tuple[str, list[int]]], end: int
) -> list[dict[str, Any]]:
    """Convert with llama.cpp's own script, run in llama.cpp; CalledProcessError says what failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "base.gguf"
        where = str(Path(converter).resolve().parent)
        subprocess.run([sys.executable, "-c", CONVERT, where, str(path), str(file)], check=True, capture_output=True)
        job = {"file": str(file), "prompts": prompts, "most": WRITTEN, "end": end}
        done = subprocess.run([python, "-c", SERVE], input=json.dumps(job), check=True, capture_output=True, text=True)
    return [{**one, "logits": np.array(one["logits"])} for one in json.loads(done.stdout)]


def compared(name: str, found: list[dict[str, Any]], want: list[dict[str, Any]], decode: Any) -> str:
    """One line of the table."""
    worst = max(float(np.abs(a["logits"] - b["logits"]).max()) for a, b in zip(found, want, strict=True))
    same_ids = sum(list(a["ids"]) == list(b["ids"]) for a, b in zip(found, want, strict=True))
    same_text = sum((a["text"] if "text" in a else decode(a["written"])) == decode(b["written"])
                    for a, b in zip(found, want, strict=True))  # fmt: skip
    kept = "yes" if worst <= LIMIT else "no"
    return f"| {name} | {worst:.1e} | {kept} | {same_ids} of {len(want)} | {same_text} of {len(want)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="primer-instruct", help="a base by name, or its folder")
    parser.add_argument("--converter", default=os.environ.get("METIER_BENCH_CONVERTER", ""))
    parser.add_argument("--llamacpp", default=os.environ.get("METIER_BENCH_LLAMACPP", ""))
    given = parser.parse_args()
    from transformers import AutoTokenizer

    from metier.train import bases, chat

    base = bases.resolve(given.model)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    asked = chat.prompt(tokenizer, [{"role": "user", "content": QUESTION}])
    prompts = [(text, tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (*PROMPTS, asked)]
    end = tokenizer.eos_token_id

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()

    want = by_transformers(base.path, prompts, end)
    print(f"{base.name}, sha256 {base.sha256[:16]}: {len(prompts)} prompts, {sum(len(ids) for _, ids in prompts)} "
          f"places, {WRITTEN} tokens continued; against Transformers in float32\n")  # fmt: skip
    print(f"| where | largest difference of a logit | at most {LIMIT:g} | same token ids | same greedy text |")
    print("| --- | ---: | --- | ---: | ---: |")
    print(compared("Metier", by_metier(base, prompts), want, decode), flush=True)
    name = "llama.cpp, after its converter (float32)"
    if not (given.converter and given.llamacpp):
        print(f"| {name} | - | - | - | - |")
        return
    try:
        print(compared(name, by_llamacpp(base.path, given.converter, given.llamacpp, prompts, end), want, decode))
    except subprocess.CalledProcessError as error:
        text = error.stderr if isinstance(error.stderr, str) else error.stderr.decode()
        print(f"| {name} | - | - | - | - |\n\nllama.cpp failed:\n{text[-1500:]}")


if __name__ == "__main__":
    main()
