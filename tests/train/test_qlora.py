"""Adapters on a base in four bits: what is quantised, what is not, and what a merge goes into."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tests.train.test_merging import QUIET, adapter, logits, rows
from torch import nn

from metier.artifact import Artifact
from metier.tables import EXAMPLES, table, write
from metier.train import merging, model
from metier.train.bases import resolve
from metier.train.config import TaskConfig, TrainConfig
from metier.train.methods.lora import Lora
from metier.train.network import MODELS, Shape, load
from metier.train.quantization import Quantization, quantized, size, widen
from metier.train.stage import train

FOUR_BITS = Quantization()
OWN = Shape(3, "single_label_classification", "own")


def in_float(network) -> set[str]:
    return {name for name, module in network.model.named_modules() if type(module) is nn.Linear}


@pytest.mark.parametrize(("family", "shape", "kept"), [
    ("bert", OWN, {"classifier"}), ("distilbert", OWN, {"classifier", "pre_classifier"}), ("llama", OWN, {"score"}),
    ("bert", Shape(2, "", "answers", None, "parts"), {"qa_outputs"}), ("bert", Shape(3, "", "mean"), set()),
])  # fmt: skip
def test_layers_are_quantised_and_heads_are_not(family, shape, kept, base):
    network = load(base(family), shape, 0, quantization=FOUR_BITS)
    assert in_float(network) == kept and len(quantized(network.model)) >= 12
    assert all(parameter.dtype == torch.float32 for name, parameter in network.model.named_parameters()
               if "embed" in name or "norm" in name.lower() or name.endswith("bias"))  # fmt: skip
    plain = load(base(family), shape, 0)
    assert sum(map(size, network.parameters())) == sum(p.numel() for p in plain.parameters())


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart"])
def test_the_output_layer_of_a_writer_stays(family, writer):
    network = load(writer(family), Shape(1, "", "language", None, "examples"), 0, quantization=FOUR_BITS)
    assert "lm_head" in in_float(network) and quantized(network.model)


def test_a_layer_that_the_base_has_no_weights_for_is_trained_whole(base, tmp_path):
    bare = transformers.BertModel.from_pretrained(base("bert").path, add_pooling_layer=False)
    bare.save_pretrained(tmp_path / "bare")
    transformers.AutoTokenizer.from_pretrained(base("bert").path).save_pretrained(tmp_path / "bare")
    network = load(resolve(str(tmp_path / "bare")), OWN, 0, quantization=FOUR_BITS)
    assert in_float(network) == {"bert.pooler.dense", "classifier"} and quantized(network.model)


@pytest.mark.parametrize(("kind", "double"), [("nf4", True), pytest.param("nf4", False, marks=pytest.mark.slow),
                                              pytest.param("fp4", True, marks=pytest.mark.slow)])  # fmt: skip
def test_four_bits_are_near_the_base_and_take_an_eighth(kind, double):
    """On real weights: the matrices lose about a tenth of their norm (fp4: more)."""
    plain = load(resolve("minilm"), Shape(2, "", "mean"), 0)
    network = load(resolve("minilm"), Shape(2, "", "mean"), 0, quantization=Quantization(kind, double))
    names = quantized(network.model)
    packed = sum(network.model.get_submodule(name).weight.nbytes for name in names)
    assert packed * 8 == sum(plain.model.get_submodule(name).weight.nbytes for name in names)
    widened = widen(network.model)
    lost = [_loss(widened.get_submodule(name).weight, plain.model.get_submodule(name).weight) for name in names]
    assert 0.05 < np.mean(lost) < (0.11 if kind == "nf4" else 0.16)


def _loss(found: torch.Tensor, true: torch.Tensor) -> float:
    return float(torch.linalg.norm(found - true) / torch.linalg.norm(true))


@pytest.mark.parametrize(("case", "family", "lora"), [
    ("classify", "bert", {}), ("generate", "llama", {"dora": True}), ("generate", "gpt2", {}),
    pytest.param("mean", "bert", {"dora": True}, marks=pytest.mark.slow),
    pytest.param("tag", "roberta", {"rslora": True, "alpha": 8}, marks=pytest.mark.slow),
    pytest.param("generate", "t5", {}, marks=pytest.mark.slow),
    pytest.param("generate", "bart", {"dora": True}, marks=pytest.mark.slow),
])  # fmt: skip
def test_merged_into_the_widened_base_it_answers_as_the_adapter(case, family, lora, base, writer, tmp_path):
    source = (writer if case == "generate" else base)(family)
    tuned = adapter(source, case, tmp_path / "adapter", "qlora", lora)
    examples = table(rows(), EXAMPLES)
    before = merging.answers(tuned, examples)
    told = merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", examples, QUIET)
    again = model.load(tmp_path / "whole", "cpu")
    assert np.abs(merging.answers(again, examples) - before).max() <= 1e-4 * max(1, np.abs(before).max())
    assert "four bits" in told["into"] and told["quantization"]["quant_type"] == "nf4"
    assert not quantized(again.module.model)
    assert "quantization_config" not in json.loads((tmp_path / "whole" / "config.json").read_text())
    plain = getattr(transformers, MODELS.get(again.module.pooling, ["AutoModelForCausalLM"])[0])
    if family not in ("t5", "bart") and case != "mean":
        ids = torch.tensor([[2, 5, 9, 11, 6, 3]])
        again.module._use_own() if case == "generate" else again.module._plain().set_attn_implementation("eager")
        with torch.no_grad():
            theirs = logits(plain.from_pretrained(tmp_path / "whole").eval()(input_ids=ids))
            torch.testing.assert_close(logits(again.module.model(input_ids=ids)), theirs, atol=1e-4, rtol=1e-5)


def test_into_the_original_base_it_would_answer_otherwise(base, tmp_path):
    """Why a merge goes into the widened weights: the original ones are farther from what the adapter learned with."""
    tuned = adapter(base("bert"), "classify", tmp_path / "adapter", "qlora")
    examples = table(rows(), EXAMPLES)
    before = merging.answers(tuned, examples)
    careless = Lora.load(tmp_path / "adapter", base("bert"), _shape(tmp_path / "adapter"))
    Lora.merge(careless)
    other = merging.answers(replace(tuned, module=careless.eval()), examples)
    assert np.abs(other - before).max() > 100 * 1e-4


def _shape(folder) -> Shape:
    return Shape(**json.loads((folder / "metier.json").read_text())["shape"])


def test_training_learns_and_saves_merged(base, tmp_path):
    from tests.train.test_stage import FAST, held_out
    from tests.train.test_stage import rows as cards

    data = cards()
    write(table(data, EXAMPLES), tmp_path / "examples" / "examples.parquet")
    examples = Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})
    config = TrainConfig(base_model=str(base("bert").path), method="qlora", save="merged", **FAST | {"epochs": 12})
    summary = train(config, TaskConfig(), 0, examples, tmp_path / "out", QUIET)
    assert summary["merged"]["difference"] < 1e-4 and summary["trainable"] < summary["parameters"] / 3
    found, _ = model.load(tmp_path / "out" / "model", "cpu").predict([row["text"] for row in held_out(data)])
    right = np.mean([label == row["label"] for label, row in zip(found.labels, held_out(data), strict=True)])
    assert right >= 0.6  # guessing gives 0.33
    kept = json.loads((tmp_path / "out" / "adapter" / "quantization.json").read_text())
    assert kept["quant_type"] == "nf4" and kept["double_quant"] and kept["bitsandbytes"]
