"""An adapter, the merged model, the merged model read again, plain PEFT and plain Transformers answer alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pyarrow as pa
import pytest
import torch
import transformers

from metier.artifact import Artifact, hash_file
from metier.console import Console
from metier.errors import UserError
from metier.merging import merge_to
from metier.registry import lookup
from metier.tables import EXAMPLES, table, write, write_json
from metier.train import merging, model
from metier.train.bases import Base
from metier.train.chat import PLAIN_TEMPLATE, prepare_tokenizer, stop_tokens
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.network import MODELS, Shape, load, load_tokenizer
from metier.train.stage import train

QUIET = Console(quiet=True)
KINDS: dict[str, dict[str, Any]] = {"lora": {}, "dora": {"dora": True}, "rslora": {"rslora": True, "alpha": 8.0}}
WORDS = ["the", "a", "my", "is", "here", "card", "loan", "fee", "pay", "help"]
# task, whether it writes, what `task.pooling` is asked for
CASES = {
    "classify": ("classify", "own"), "mean": ("classify", "mean"), "score": ("score", "own"), "tag": ("tag", "own"),
    "extract": ("extract", "own"), "relate": ("relate", "own"), "embed": ("embed", "own"),
    "generate": ("generate", "own"), "prefer": ("prefer", "own"),
}  # fmt: skip


def rows(n: int = 12) -> list[dict[str, Any]]:
    """Examples that every task can read."""
    out = []
    for index in range(n):
        words = [WORDS[(index * 7 + place * 3) % len(WORDS)] for place in range(3 + index % 5)]
        text = " ".join(["<<", words[0], ">>", *words[1:-1], "[[", words[-1], "]]"])
        turns = [{"role": "user", "content": " ".join(words)}]
        spans = [{"start": 3, "end": 3 + len(words[0]), "label": "thing"}]
        out.append({
            "id": str(index), "text": text, "pair": words[-1], "label": words[0], "value": float(index),
            "answer": words[0], "messages": json.dumps(turns), "chosen": words[0], "rejected": "no", "spans": spans,
            "answers": [{"start": 3, "end": 3 + len(words[0])}], "negatives": [words[-1]],
            "split": "train" if index < n * 2 // 3 else "validation",
        })  # fmt: skip
    return out


def adapter(
    base: Base, case: str, folder: Path, method: str = "lora", lora: dict[str, Any] | None = None
) -> model.TunedModel:
    """A model with random adapters and a random head, saved into `folder` and loaded again."""
    name, pooling = CASES[case]
    config = TrainConfig.model_validate({"method": method, "lora": lora or {}, "bf16": False})
    task_config = TaskConfig(name=name)
    task = lookup("task", name).from_training(task_config, table(rows(), EXAMPLES))
    head = task.pooling(pooling)
    shape = Shape(task.outputs, task.problem_type, "vector-mean" if head == "vector" else head, None, task.rows)
    way = lookup("method", method)
    network = load(base, shape, 0, task.label_maps(), **getattr(way, "loading", lambda config: {})(config))
    tokenizer = load_tokenizer(base)
    if task.rows == "examples":
        prepare_tokenizer(tokenizer)
        network.end_with(stop_tokens(tokenizer))
    module = way.wrap(network, config, task.outputs)
    generator = torch.Generator().manual_seed(1)
    for name_, parameter in module.named_parameters():
        if parameter.requires_grad:
            drawn = torch.randn(parameter.shape, generator=generator)
            magnitude = "magnitude" in name_  # a length: near what it was
            parameter.data = parameter.data * (1 + 0.1 * drawn) if magnitude else 0.3 * drawn
    encoding = {"max_length": 64, "long_text": "window", "max_windows": 2, "overlap": 8, "batch_tokens": 4096}
    facts = {
        "task": task_config.model_dump(mode="json"), "task_state": task.state(), "method": method,
        "base": base.describe(), "base_path": str(base.path), "needs_base": way.needs_base, "encoding": encoding,
        "shape": vars(shape), "limit": 4096, "bf16": False, "seed": 0, "normalize": {},
    }  # fmt: skip
    saved = model.TunedModel(module.eval(), task, way, Encoder(tokenizer, **encoding), 4096, False)
    model.save(folder, module, way, tokenizer, facts)
    loaded = model.load(folder, "cpu")
    examples = table(rows(), EXAMPLES)
    assert np.abs(merging.answers(saved, examples) - merging.answers(loaded, examples)).max() < 1e-5
    return loaded


SLOW = pytest.mark.slow
CHANGED = (("classify", "bert", "lora"), ("classify", "bert", "dora"), ("classify", "bert", "rslora"),
           ("tag", "roberta", "dora"), ("mean", "bert", "lora"), ("generate", "llama", "lora"),
           ("generate", "llama", "dora"), ("generate", "llama", "rslora"), ("generate", "t5", "lora"))  # fmt: skip
LATER = [(case, family, kind) for case, family in (("tag", "roberta"), ("extract", "bert"), ("mean", "bert"),
         ("classify", "gpt2"), ("generate", "t5"), ("generate", "bart")) for kind in KINDS]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "family", "kind"),
    [*CHANGED, *(pytest.param(*one, marks=SLOW) for one in LATER if one not in CHANGED)],
)
def test_merged_and_loaded_again_it_answers_as_the_adapter(case, family, kind, base, writer, tmp_path):
    source = (writer if case == "generate" else base)(family)
    tuned = adapter(source, case, tmp_path / "adapter", lora=KINDS[kind])
    examples = table(rows(), EXAMPLES)
    before = merging.answers(tuned, examples)
    assert before.std() > 1e-3, "the outputs say something"
    told = merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", examples, QUIET)
    again = model.load(tmp_path / "whole", "cpu")
    assert np.abs(merging.answers(again, examples) - before).max() <= 1e-4
    assert told["difference"] <= 1e-4 and told["asked"] == len(before)
    assert not [name for name, _ in again.module.named_parameters() if "lora" in name]
    assert not list((tmp_path / "whole").glob("adapter*"))


@pytest.mark.parametrize("case", ["embed", "prefer", *(pytest.param(name, marks=SLOW) for name in ("score", "relate"))])
def test_so_does_every_other_task(case, base, writer, tmp_path):
    tuned = adapter((writer("llama") if case == "prefer" else base("bert")), case, tmp_path / "adapter")
    told = merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", merging.drawn(tuned), QUIET)
    assert told["difference"] <= 1e-4 and told["asked"] >= merging.ASKED
    if case == "embed":  # one folder that sentence-transformers reads, no second one inside
        assert (tmp_path / "whole" / "modules.json").is_file() and not (tmp_path / "whole" / "whole").exists()


def test_what_was_learned_is_in_the_merged_weights(base, tmp_path):
    """The comparison would pass with an adapter of zeros; this one changes the answers of the base."""
    tuned = adapter(base("bert"), "classify", tmp_path / "adapter")
    examples = table(rows(), EXAMPLES)
    without = merging.answers(model.untouched(tuned, base("bert")), examples)
    merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", examples, QUIET)
    assert np.abs(merging.answers(model.load(tmp_path / "whole", "cpu"), examples) - without).max() > 0.1


@pytest.mark.parametrize(("case", "family"), [
    ("classify", "bert"), ("extract", "electra"), pytest.param("tag", "distilbert", marks=SLOW),
])  # fmt: skip
def test_plain_transformers_and_plain_peft_answer_alike(case, family, base, tmp_path):
    tuned = adapter(base(family), case, tmp_path / "adapter", lora={"dora": True})
    ids = torch.tensor([[2, 5, 9, 11, 6, 3]])
    loader = getattr(transformers, MODELS[tuned.module.pooling][0])
    outputs = tuned.task.outputs
    settings: dict[str, Any] = {} if case == "extract" else {"num_labels": outputs}
    plain = loader.from_pretrained(base(family).path, dtype=torch.float32, **settings)
    theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", table(rows(), EXAMPLES), QUIET)
    whole = loader.from_pretrained(tmp_path / "whole").eval()
    metier = model.load(tmp_path / "whole", "cpu").module._plain().eval()
    metier.set_attn_implementation("eager")
    with torch.no_grad():
        found = [logits(one(input_ids=ids)) for one in (theirs, whole, metier)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-4, rtol=0)


def logits(output: Any) -> torch.Tensor:
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits, output.end_logits])
    return output.logits


@pytest.mark.parametrize(("family", "loader"), [
    ("llama", "AutoModelForCausalLM"), ("t5", "AutoModelForSeq2SeqLM"),
    pytest.param("gpt2", "AutoModelForCausalLM", marks=SLOW),
])  # fmt: skip
def test_a_writer_keeps_its_template_and_stops(family, loader, writer, tmp_path):
    tuned = adapter(writer(family), "generate", tmp_path / "adapter")
    peft_kind = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["task_type"]
    assert peft_kind == ("SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM")
    theirs = peft.PeftModel.from_pretrained(
        getattr(transformers, loader).from_pretrained(writer(family).path), tmp_path / "adapter"
    ).eval()
    merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", table(rows(), EXAMPLES), QUIET)
    whole = getattr(transformers, loader).from_pretrained(tmp_path / "whole").eval()
    ids = torch.arange(40, 60)[None]
    more = {"decoder_input_ids": torch.tensor([[257, 41, 42]])} if family == "t5" else {}
    with torch.no_grad():
        torch.testing.assert_close(
            whole(input_ids=ids, **more).logits, theirs(input_ids=ids, **more).logits, atol=1e-4, rtol=0
        )
    for folder in ("adapter", "whole"):
        settings = transformers.GenerationConfig.from_pretrained(tmp_path / folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / folder)
        assert tokenizer.chat_template == PLAIN_TEMPLATE
        assert 257 in settings.eos_token_id and settings.eos_token_id == stop_tokens(tokenizer)
        assert settings.pad_token_id == tokenizer.pad_token_id


def test_the_lineage_is_recorded(base, tmp_path):
    tuned = adapter(base("bert"), "mean", tmp_path / "adapter")
    merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", table(rows(), EXAMPLES), QUIET)
    facts = json.loads((tmp_path / "whole" / "metier.json").read_text())
    merged = facts["merged"]
    assert merged["method"] == "lora" and merged["base_sha256"] == base("bert").sha256 == facts["base"]["sha256"]
    names = ["adapter_model.safetensors", "adapter_config.json", "head.safetensors"]
    assert merged["adapter_sha256"] == {name: hash_file(tmp_path / "adapter" / name) for name in names}
    assert facts["method"] == "full" and not facts["needs_base"]
    assert str(tmp_path) not in json.dumps(facts), "no path of this machine"


def test_a_merge_that_changes_answers_is_refused(base, tmp_path, monkeypatch):
    tuned = adapter(base("bert"), "mean", tmp_path / "adapter")
    from metier.train.methods import lora

    def careless(module: Any) -> None:
        module.model = module.model.unload()

    monkeypatch.setattr(lora.Lora, "merge", staticmethod(careless))
    with pytest.raises(UserError, match="answers otherwise than its adapter"):
        merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", table(rows(), EXAMPLES), QUIET)


def test_merge_by_name_leaves_all_or_nothing(base, tmp_path, monkeypatch):
    monkeypatch.setenv("METIER_RUNS", str(tmp_path / "runs"))
    adapter(base("bert"), "classify", tmp_path / "runs" / "mine" / "model")
    target = merge_to("mine", device="cpu")
    assert target == tmp_path / "runs" / "mine-merged" and (target / "model.safetensors").is_file()
    with pytest.raises(UserError, match="something here already"):
        merge_to("mine", device="cpu")
    with pytest.raises(UserError, match="whole already"):
        merge_to(str(target), tmp_path / "again", device="cpu")
    monkeypatch.setattr(merging, "TOLERANCE", {"float32": -1.0})
    with pytest.raises(UserError, match="answers otherwise"):
        merge_to("mine", tmp_path / "other", device="cpu")
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]


def test_a_base_that_moved_is_named_and_another_one_refused(base, tmp_path):
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(base("bert").path, moved)
    gone = replace(base("bert"), path=moved)
    adapter(gone, "classify", tmp_path / "adapter")
    shutil.move(moved, tmp_path / "here")
    facts = json.loads((tmp_path / "adapter" / "metier.json").read_text())
    write_json(facts | {"base": facts["base"] | {"name": str(moved)}}, tmp_path / "adapter" / "metier.json")
    with pytest.raises(UserError):
        merge_to(str(tmp_path / "adapter"), device="cpu")
    merge_to(str(tmp_path / "adapter"), base=str(tmp_path / "here"), device="cpu")
    with pytest.raises(UserError, match="not the one this model was trained on"):
        merge_to(str(tmp_path / "adapter"), tmp_path / "out", str(base("roberta").path), device="cpu")


@pytest.fixture
def artifact(tmp_path):
    write(table(rows(24), EXAMPLES), tmp_path / "store" / "prepare" / "p" / "examples.parquet")
    return Artifact(tmp_path / "store" / "prepare" / "p", "prepare", "p", {}, {}, {})


def test_training_can_save_the_merged_model(base, artifact, tmp_path):
    out = tmp_path / "store" / "train" / "t"
    config = TrainConfig.model_validate({"base_model": str(base("bert").path), "method": "lora", "save": "merged",
                                         "epochs": 2, "bf16": False, "device": "cpu", "batch_size": 8})  # fmt: skip
    summary = train(config, TaskConfig(), 0, artifact, out, QUIET)
    assert summary["merged"]["difference"] <= 1e-4 and summary["merged"]["method"] == "lora"
    assert summary["trainable"] < summary["parameters"]
    table_ = pa.table({"text": [row["text"] for row in rows()]})
    merged, beside = (model.load(out / name, "cpu") for name in ("model", "adapter"))
    np.testing.assert_allclose(merged.predict(table_)[0].scores, beside.predict(table_)[0].scores, atol=1e-4)
    assert not json.loads((out / "model" / "metier.json").read_text())["needs_base"]
    # The adapter of an artifact is merged beside the examples it was trained with.
    write_json({"parents": {"prepare": "p"}}, out / "artifact.json")
    from metier.merging import examples_of

    assert examples_of(out / "adapter").num_rows == 24 and examples_of(tmp_path) is None


def test_what_has_no_adapter_is_refused_before_training(base, artifact, tmp_path):
    config = TrainConfig.model_validate({"base_model": str(base("bert").path), "method": "frozen", "save": "merged"})
    with pytest.raises(UserError, match="cannot be merged"):
        train(config, TaskConfig(), 0, artifact, tmp_path / "out", QUIET)
