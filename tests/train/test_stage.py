"""The train stage on small random bases: it learns, saves, loads again, resumes, and counts what it cuts."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.tables import EXAMPLES, table, write
from metier.train.config import TaskConfig, TrainConfig
from metier.train.model import load
from metier.train.stage import train

QUIET = Console(quiet=True)
CLASSIFY, MULTI, SCORE = TaskConfig(), TaskConfig(multi_label=True), TaskConfig(name="score")
FAST = {
    "epochs": 12,
    "learning_rate": 5e-3,
    "head_learning_rate": 5e-3,
    "bf16": False,
    "device": "cpu",
    "batch_size": 8,
}


def rows(n: int = 72, seed: int = 0) -> list[dict]:
    """Texts whose label is decided by one word; the value and the label list follow from the same words."""
    draw, out = random.Random(seed), []
    for index in range(n):
        words = draw.choices(["the", "a", "my", "is", "here", "please"], k=draw.randint(2, 9))
        signs = draw.sample(["card", "loan", "fee"], k=1)
        text = " ".join(draw.sample(words + signs, k=len(words) + 1))
        out.append({
            "id": str(index), "text": text, "label": signs[0], "labels": sorted({*signs, *({"please"} & {*words})}),
            "value": {"card": 10.0, "loan": 20.0, "fee": 40.0}[signs[0]],
            "split": "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test",
        })  # fmt: skip
    return out


@pytest.fixture
def examples(tmp_path):
    def make(data: list[dict], name: str = "examples") -> Artifact:
        write(table(data, EXAMPLES), tmp_path / name / "examples.parquet")
        return Artifact(tmp_path / name, "prepare", name, {}, {}, {})

    return make


def held_out(data: list[dict]) -> list[dict]:
    return [row for row in data if row["split"] == "test"]


@pytest.mark.parametrize("family", ["bert", "llama", "deberta", "t5"])
@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_and_loads_again(family, method, base, examples, tmp_path):
    data = rows()
    rates = {"head_learning_rate": 0.1} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base(family).path), method=method, **FAST | {"epochs": 25} | rates)
    summary = train(config, CLASSIFY, 0, examples(data), tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    decoded, _ = model.predict([row["text"] for row in held_out(data)])
    right = sum(found == row["label"] for found, row in zip(decoded.labels, held_out(data), strict=True))
    enough = {"full": 0.9, "lora": 0.6, "frozen": 0.5}[method]  # guessing gives 0.33; the base itself is random
    assert right >= enough * len(held_out(data))
    assert decoded.scores.shape == (len(held_out(data)), 3)
    assert abs(decoded.scores.sum(1) - 1).max() < 1e-6
    assert summary["trainable"] < summary["parameters"] if method != "full" else summary["trainable"] > 0
    assert not (tmp_path / "out" / "state").exists()
    assert summary["history"] == json.loads((tmp_path / "out" / "history.json").read_text())


def test_plain_transformers_loads_the_standard_layout(base, examples, tmp_path):
    data = rows()
    train(TrainConfig(base_model=str(base("bert").path), **FAST), CLASSIFY, 0, examples(data), tmp_path / "out", QUIET)
    folder = tmp_path / "out" / "model"
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    mine = load(folder, device="cpu")
    texts = [row["text"] for row in held_out(data)]
    with torch.no_grad():
        theirs = torch.cat([plain(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    torch.testing.assert_close(torch.tensor(mine.logits(mine.encoder.encode(texts))), theirs, atol=1e-5, rtol=1e-4)
    assert plain.config.id2label == {0: "card", 1: "fee", 2: "loan"}


def test_multi_label_and_score(base, examples, tmp_path):
    data = rows(90)
    config = TrainConfig(base_model=str(base("bert").path), **FAST | {"epochs": 30})
    train(config, MULTI, 0, examples(data), tmp_path / "multi", QUIET)
    decoded, _ = load(tmp_path / "multi" / "model", device="cpu").predict([row["text"] for row in held_out(data)])
    exact = sum(sorted(found) == row["labels"] for found, row in zip(decoded.label_lists, held_out(data), strict=True))
    assert exact >= 0.8 * len(held_out(data))
    train(config, SCORE, 0, examples(data), tmp_path / "score", QUIET)
    decoded, _ = load(tmp_path / "score" / "model", device="cpu").predict([row["text"] for row in held_out(data)])
    errors = [abs(found - row["value"]) for found, row in zip(decoded.values, held_out(data), strict=True)]
    assert sum(errors) / len(errors) < 5.0  # the values are 10, 20 and 40; their spread is 12


def test_class_weights_raise_the_loss_of_the_rare_class(examples):
    from metier.registry import lookup

    data = [{"id": str(i), "text": "a", "label": "rare" if i < 2 else "usual", "split": "train"} for i in range(20)]
    task = lookup("task", "classify").from_training(TaskConfig(class_weights="balanced"), table(data, EXAMPLES))
    assert task.weights == pytest.approx([20 / (2 * 2), 20 / (2 * 18)])
    losses = task.loss(torch.zeros(2, 2), [1, 1], torch.tensor([0, 1]), 0.0)
    assert losses[0] / losses[1] == pytest.approx(9.0)


def test_an_unknown_label_is_not_learned_from_and_not_a_crash(examples):
    from metier.registry import lookup

    data = [{"id": str(i), "text": "a", "label": "xyz"[i % 3], "split": "train"} for i in range(6)]
    task = lookup("task", "classify").from_training(CLASSIFY, table(data, EXAMPLES))
    targets = task.targets(table([{"label": "x"}, {"label": "never seen"}], EXAMPLES))
    losses = task.loss(torch.randn(2, 3), [1, 1], targets, 0.0)
    assert losses[0] > 0 and losses[1] == 0


@pytest.mark.parametrize(("task", "change"), [(CLASSIFY, {"label": "one"}), (SCORE, {"value": 1.0})])
def test_nothing_to_learn_is_a_user_error(task, change, base, examples, tmp_path):
    data = [row | change for row in rows()]
    with pytest.raises(UserError, match="nothing to"):
        train(TrainConfig(base_model=str(base("bert").path)), task, 0, examples(data), tmp_path / "out", QUIET)


def test_long_texts_are_windowed_or_cut_and_counted(base, examples, tmp_path):
    data = rows()
    data[0]["text"] = "card " + "the " * 100
    for rule, key in (("window", "windowed"), ("cut", "cut")):
        config = TrainConfig(base_model=str(base("bert").path), max_length=16, long_text=rule, max_windows=20,
                             window_overlap=2, **FAST | {"epochs": 1})  # fmt: skip
        summary = train(config, CLASSIFY, 0, examples(data), tmp_path / rule, QUIET)
        assert summary[key] == 1
        assert summary["cut_tokens"] == (101 - 14 if rule == "cut" else 0)


def test_the_same_seed_gives_the_same_weights(base, examples, tmp_path):
    artifact, config = (
        examples(rows()),
        TrainConfig(base_model=str(base("bert").path), **FAST | {"epochs": 2, "dropout": 0.1}),
    )
    states = []
    for index, seed in enumerate((0, 0, 1)):
        train(config, CLASSIFY, seed, artifact, tmp_path / str(index), QUIET)
        states.append((tmp_path / str(index) / "model" / "model.safetensors").read_bytes())
    assert states[0] == states[1] != states[2]


def test_small_parts_of_a_batch_give_the_same_step(base, examples, tmp_path):
    artifact, base_model = examples(rows()), str(base("bert").path)
    losses = []
    for limit in (16384, 20):
        config = TrainConfig(base_model=base_model, max_batch_tokens=limit, **FAST | {"epochs": 2, "dropout": 0.0})
        losses.append(
            train(config, CLASSIFY, 0, artifact, tmp_path / str(limit), QUIET)["history"][-1]["validation_loss"]
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


RUN = """
import sys, torch
from pathlib import Path
from metier.artifact import Artifact
from metier.console import Console
from metier.train.config import TaskConfig, TrainConfig
from metier.train.stage import train
torch.set_num_threads(1)
examples, base, out = sys.argv[1:]
settings = dict(checkpoint_seconds=0, epochs=6, dropout=0.1, batch_size=4, device="cpu", bf16=False)
config = TrainConfig(base_model=base, **settings)
train(config, TaskConfig(), 0, Artifact(Path(examples), "prepare", "x", {}, {}, {}), Path(out), Console(quiet=True))
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(base, examples, tmp_path):
    artifact, base_model = examples(rows()), str(base("bert").path)

    def start(out: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", RUN, str(artifact.path), base_model, str(tmp_path / out)])

    assert start("whole").wait(600) == 0
    killed, deadline = start("killed"), time.monotonic() + 300  # a busy machine
    state = tmp_path / "killed" / "state" / "state.pt"
    while not _step(state) >= 20 and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(30)
    assert 20 <= _step(state) < 72, "the run was not killed in the middle"
    assert not (tmp_path / "killed" / "model").exists()
    assert start("killed").wait(600) == 0
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    histories = [(tmp_path / name / "history.json").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


def _step(state: Path) -> int:
    try:
        return torch.load(state, weights_only=True)["progress"]["step"]
    except (OSError, RuntimeError, EOFError):
        return -1


def test_a_run_killed_after_its_last_step_still_validates(base, examples, tmp_path, monkeypatch):
    from metier.train import loop

    artifact, config = (
        examples(rows()),
        TrainConfig(base_model=str(base("bert").path), checkpoint_seconds=0, **FAST | {"epochs": 3}),
    )
    train(config, CLASSIFY, 0, artifact, tmp_path / "whole", QUIET)
    end, calls = loop._end_of_epoch, []

    def stop_in_the_last(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return end(*arguments)

    monkeypatch.setattr(loop, "_end_of_epoch", stop_in_the_last)
    with pytest.raises(KeyboardInterrupt):
        train(config, CLASSIFY, 0, artifact, tmp_path / "killed", QUIET)
    monkeypatch.setattr(loop, "_end_of_epoch", end)
    train(config, CLASSIFY, 0, artifact, tmp_path / "killed", QUIET)
    for name in ("history.json", "model/model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_diverged_training_is_told(base, examples, tmp_path):
    config = TrainConfig(base_model=str(base("bert").path), **FAST | {"learning_rate": 1e30, "gradient_clip": 1e30})
    with pytest.raises(UserError, match="diverged"):
        train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"learning_rate": -1}, {"epochs": 0}, {"device": "banana"}])
def test_settings_without_sense_are_refused(setting):
    with pytest.raises(ValueError):
        TrainConfig(**setting)


def test_a_device_that_is_not_here_is_told(base, examples, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a cuda device")
    config = TrainConfig(base_model=str(base("bert").path), **FAST | {"device": "cuda"})
    with pytest.raises(UserError, match="no cuda device"):
        train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)


@pytest.mark.parametrize("family", ["bert", "bert without pooler", "distilbert", "roberta", "bart", "t5", "gpt2"])
@pytest.mark.parametrize("pooling", ["own", "mean"])
def test_lora_comes_back_as_it_was_saved(family, pooling, base, examples, tmp_path):
    source = base(family.split()[0]).path
    if "without" in family:
        source = tmp_path / "bare"
        bare = transformers.BertModel.from_pretrained(base("bert").path, add_pooling_layer=False)
        bare.save_pretrained(source)
        transformers.AutoTokenizer.from_pretrained(base("bert").path).save_pretrained(source)
    data, kept = rows(24), {}
    config = TrainConfig(base_model=str(source), method="lora", pooling=pooling, **FAST | {"epochs": 2})
    from metier.train import model as saved

    write_model = saved.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            saved,
            "save",
            lambda folder, module, *rest: (kept.update(module=module), write_model(folder, module, *rest)),
        )
        train(config, CLASSIFY, 1, examples(data), tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    encoded = model.encoder.encode([row["text"] for row in data])
    with torch.no_grad():
        expected = kept["module"].eval()(encoded.items)
    torch.testing.assert_close(torch.tensor(model.logits(encoded)), expected, atol=1e-5, rtol=1e-4)


def test_wrong_adapter_targets_are_told(base, examples, tmp_path):
    config = TrainConfig(base_model=str(base("bert").path), method="lora", lora={"target_modules": ["foo"]}, **FAST)
    with pytest.raises(UserError, match="adapters"):
        train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)


def test_early_stopping_keeps_the_best_weights(base, examples, tmp_path):
    data = rows()
    config = TrainConfig(base_model=str(base("bert").path), early_stopping=2, **FAST | {"epochs": 200})
    summary = train(config, CLASSIFY, 0, examples(data), tmp_path / "out", QUIET)
    assert summary["stopped"] == "early" and summary["epochs"] < 200
    best = max(summary["history"], key=lambda line: (line["validation_metric"], -line["validation_loss"]))
    assert best["epoch"] == summary["best_epoch"]


def test_a_model_whose_base_changed_is_refused(base, examples, tmp_path):
    from tests.train.models import build

    other = build("bert", tmp_path / "mine")
    config = TrainConfig(base_model=str(other.path), method="lora", **FAST | {"epochs": 1})
    train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)
    text = (other.path / "config.json").read_text()
    (other.path / "config.json").write_text(text.replace('"gelu"', '"relu"'))
    with pytest.raises(UserError, match="not the one this model was trained on"):
        load(tmp_path / "out" / "model")
