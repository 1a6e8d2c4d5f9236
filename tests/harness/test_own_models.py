"""Models that Metier wrote, asked by lm-evaluation-harness: its samples come back, and say what Metier itself says.

Needs an interpreter with `lm-eval[hf,api]`, which is no dependency: METIER_LMEVAL_PYTHON names it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from tests.train.models import build_writer

from metier.console import Console
from metier.harness.find import load as load_log
from metier.harness.log import Log
from metier.train import model

from .served import serve

PYTHON = os.environ.get("METIER_LMEVAL_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="METIER_LMEVAL_PYTHON names no interpreter with lm-eval[hf,api]"),
]
QUIET = Console(quiet=True)
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{{ m['content'] }}{{ eos_token }}"
    "{% else %}Q:{{ m['content'] }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)
END = "</s>"  # the choices end with the stop token, which Metier's likelihood of an answer pays for too
ITEMS = [*({"question": f"Which desk takes form {i}?", "choices": [f"desk one{END}", f"desk two{END}"], "answer": i % 2}
           for i in (1, 4, 7, 12)),
         {"question": "哪个窗口收表格？", "choices": [f"一号窗口{END}", f"二号{END}"], "answer": 0}]  # fmt: skip
WRITTEN = 12  # tokens of an answer
# One process for all evaluations: importing takes longer than they do.
MANY = "import sys, json\nfrom lm_eval.__main__ import cli_evaluate\n" \
       "for call in json.loads(sys.argv[1]):\n    sys.argv = ['lm_eval', *call]\n    cli_evaluate()\n"  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random base, runs of it trained whole and with an adapter, the merged model, and the tasks."""
    from metier.artifact import Store
    from metier.merging import merge_to
    from metier.recipe import override, parse
    from metier.run import Context, run

    folder = tmp_path_factory.mktemp("own")
    build_writer("llama", folder / "base", TEMPLATE)
    rows = [{"text": f"Which desk takes form {i}?", "answer": ["desk one", "desk two"][i % 2]} for i in range(40)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for method in ("full", "lora"):
        told = {
            "name": method, "task": {"name": "generate", "max_new_tokens": WRITTEN},
            "collect": {"sources": [{"path": "data.jsonl", "columns": {"text": "text", "answer": "answer"}}]},
            "train": {"base_model": str(folder / "base"), "method": method, "epochs": 40, "learning_rate": 0.01},
            "evaluate": {"floors": [], "accept": ["rouge_l > base"]},
        }  # fmt: skip
        recipe = parse(override(told, ()), method)
        run(recipe, Context(folder, Store(folder / "store"), folder / "runs", QUIET))
    merge_to(str(folder / "runs" / "lora" / "model"), folder / "merged")
    _write_tasks(folder)
    return folder


def _write_tasks(folder: Path) -> None:
    """Two tasks of our own over a local file: one weighs choices, one writes."""
    (folder / "tasks").mkdir()
    data = folder / "tasks" / "items.jsonl"
    data.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in ITEMS), encoding="utf-8")
    common = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test",
              "target_delimiter": "", "doc_to_text": "{{question}}"}  # fmt: skip
    pick = {"task": "counter_pick", "output_type": "multiple_choice", "doc_to_choice": "{{choices}}",
            "doc_to_target": "answer", "metric_list": [{"metric": "acc"}]}  # fmt: skip
    write = {"task": "counter_write", "output_type": "generate_until", "doc_to_target": "{{choices[answer]}}",
             "generation_kwargs": {"until": [END], "max_gen_toks": WRITTEN, "do_sample": False},
             "metric_list": [{"metric": "exact_match"}]}  # fmt: skip
    for one in (pick, write):
        (folder / "tasks" / f"{one['task']}.yaml").write_text(yaml.safe_dump(common | one), encoding="utf-8")


def ask(folder: Path, **models: tuple[str, str]) -> None:
    """Let lm_eval ask several models; name -> (backend, its arguments). Samples go into out/NAME."""
    calls = [
        ["--model", backend, "--model_args", arguments, "--tasks", "counter_pick,counter_write", "--include_path",
         str(folder / "tasks"), "--batch_size", "4" if backend == "hf" else "1", "--apply_chat_template",
         *(("--device", "cpu") if backend == "hf" else ()), "--log_samples",
         "--output_path", str(folder / "out" / name)]
        for name, (backend, arguments) in models.items()
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1",
                   "HF_HOME": str(folder / "cache")}  # fmt: skip
    for name in ("PYTHONPATH", "OPENAI_API_KEY"):
        environment.pop(name, None)
    done = subprocess.run([PYTHON, "-c", MANY, json.dumps(calls)], env=environment, cwd=folder, capture_output=True,
                          text=True, timeout=1800, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def agrees(log: Log, written: Log, folder: Path) -> None:
    """The harness's samples say what the model in `folder` says to Metier: words, choices, and their likelihoods."""
    tuned = model.load(folder, "cpu")
    asked = pa.table({"text": [one["question"] for one in ITEMS]})
    decoded, _ = tuned.predict(asked)
    assert [item.answer.strip() for item in written.items] == decoded.texts
    assert len(set(decoded.texts)) > 1, "not the same words for every question"
    bits = [tuned.task.measure(tuned, asked, [one["choices"][i].removesuffix(END) for one in ITEMS], QUIET)[0]
            for i in (0, 1)]  # fmt: skip
    ours = -np.log(2) * np.array(bits).T  # (items, choices), nats
    rows = [json.loads(line) for line in Path(log.path).read_text(encoding="utf-8").splitlines()]
    theirs = np.array([[float(likely) for likely, _ in row["filtered_resps"]] for row in rows])
    assert theirs == pytest.approx(ours, abs=2e-3) and np.ptp(theirs) > 1
    picked = [one["choices"][i] for one, i in zip(ITEMS, ours.argmax(axis=1), strict=True)]
    assert [item.answer for item in log.items] == picked
    right = [place == one["answer"] for one, place in zip(ITEMS, ours.argmax(axis=1), strict=True)]
    assert [item.values["acc"].number for item in log.items] == right


def test_the_hf_backend_says_what_metier_says(made: Path, metier: Any) -> None:
    adapter, full = made / "runs" / "lora" / "model", made / "runs" / "full" / "model"
    ask(
        made, base=("hf", f"pretrained={made / 'base'},dtype=float32"),
        full=("hf", f"pretrained={full},dtype=float32"),
        adapter=("hf", f"pretrained={made / 'base'},peft={adapter},dtype=float32"),
        merged=("hf", f"pretrained={made / 'merged'},dtype=float32"),
    )  # fmt: skip
    for name, folder in (("full", full), ("adapter", adapter), ("merged", made / "merged")):
        pick, write = (load_log(made / "out" / name, f"counter_{task}") for task in ("pick", "write"))
        agrees(pick, write, folder)
    out = made / "compared"
    done = metier("compare", made / "out" / "base", made / "out" / "adapter", "--task", "counter_pick", "-o", out)
    assert done.code in (3, 4) and "5 test examples" in done.out, done.err
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["data"]["left_out"] == 0 and results["models"]["tuned"]["acc"]["n"] == 5


def test_a_completions_server_says_what_metier_says(made: Path) -> None:
    with serve(made / "merged") as (address, server):
        ask(made, served=("local-completions", f"model=merged,base_url={address},tokenizer={made / 'merged'},"
                          "num_concurrent=1,max_retries=1"))  # fmt: skip
    assert any(request.get("echo") and request["logprobs"] == 1 for request in server.asked)
    pick, write = (load_log(made / "out" / "served", f"counter_{task}") for task in ("pick", "write"))
    agrees(pick, write, made / "merged")
