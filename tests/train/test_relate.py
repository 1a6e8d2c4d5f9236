"""Relations on small random bases: the marks are found, the head sees the right tokens, every method learns."""

from __future__ import annotations

import random

import pytest
import torch
import transformers

from metier.artifact import Artifact
from metier.console import Console
from metier.tables import EXAMPLES, table, write
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.model import load
from metier.train.network import Shape, load_tokenizer
from metier.train.network import load as load_network
from metier.train.stage import train
from metier.train.tasks.relate import Relate, marked, refuses

QUIET, RELATE = Console(quiet=True), TaskConfig(name="relate")
MARKS = RELATE.markers
FAST = {"epochs": 30, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "bf16": False, "device": "cpu",
        "batch_size": 8}  # fmt: skip


def rows(n: int = 90, seed: int = 0) -> list[dict]:
    """The relation is named by what is marked, not by which words there are: card and loan stand in every text."""
    draw, out = random.Random(seed), []
    for index in range(n):
        first = draw.choice(["card", "loan"])
        words = [f"<< {word} >>" if word == first else word for word in ["card", "loan"]]
        words += ["[[ bank ]]", *draw.choices(["the", "a", "my"], k=3)]
        draw.shuffle(words)
        split = "train" if index < n * 2 // 3 else "validation" if index < n * 5 // 6 else "test"
        out.append({"id": str(index), "text": " ".join(words), "label": f"of the {first}", "split": split})
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<< aspirin >> inhibits [[ COX-1 ]].", ("aspirin", "COX-1")),
        ("[[COX-1]] is inhibited by <<aspirin>>", ("aspirin", "COX-1")),
        ("<<阿司匹林>>抑制[[环氧合酶]]", ("阿司匹林", "环氧合酶")),
        ("pA2 >> 7 for << aspirin >> at [[ COX-1 ]]", ("aspirin", "COX-1")),
        ("<< A3 >> binds [[ (1-deoxy-6[[(3-iodo) methyl] ]]", ("A3", "(1-deoxy-6[[(3-iodo) methyl]")),
        ("<< aspirin >> inhibits COX-1", None),
        ("<< a >> and << b >> and [[ c ]]", None),
        (">> a << and [[ c ]]", None),
        ("<<  >> and [[ c ]]", None),
    ],
)
def test_marks_are_found_once_each(text, expected):
    found = marked(text, MARKS)
    assert (found and tuple(text[a:b] for a, b in found)) == expected
    assert (refuses(text, MARKS) is None) == (expected is not None)


def test_the_head_sees_the_marked_tokens(base):
    tokenizer = load_tokenizer(base("bert"))
    task = Relate(RELATE, {"classes": ["x", "y"]})
    encoder = Encoder(tokenizer, 40)
    encoded = task.encode(encoder, table([{"text": "the << late fee >> is [[ card ]] here"}], EXAMPLES))
    (window,), (parts,) = encoded.items[0].windows, encoded.items[0].parts
    words = [tokenizer.convert_ids_to_tokens(window[a:b]) for a, b in parts]
    assert len(words[0]) == len(window) and words[1:] == [["late", "fee"], ["card"]]
    network = load_network(base("bert"), Shape(2, "single_label_classification", "spans"), seed=1).eval()
    body = transformers.AutoModel.from_pretrained(base("bert").path).eval()
    with torch.no_grad():
        states = body(input_ids=torch.tensor([window])).last_hidden_state[0]
        expected = network.classifier(torch.cat([states[a:b].mean(0) for a, b in parts])[None])
        torch.testing.assert_close(network(encoded.items), expected, atol=2e-5, rtol=1e-4)


def test_of_a_long_text_the_middle_of_the_two_is_read_and_the_rest_counted(base):
    tokenizer = load_tokenizer(base("bert"))
    task = Relate(RELATE, {"classes": ["x", "y"]})
    near = "the " * 40 + "<< card >> is [[ loan ]] " + "a " * 40
    far = "<< card >> " + "the " * 40 + "[[ loan ]]"
    encoded = task.encode(Encoder(tokenizer, 20), table([{"text": near}, {"text": far}], EXAMPLES))
    (window,), (parts,) = encoded.items[0].windows, encoded.items[0].parts
    assert [tokenizer.convert_ids_to_tokens(window[a:b]) for a, b in parts[1:]] == [["card"], ["loan"]]
    assert encoded.cut == 2 and encoded.notes == {"far_apart": 1} and len(window) == 20


@pytest.mark.parametrize("family", ["bert", "deberta"])
@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_and_loads_again(family, method, base, tmp_path, monkeypatch):
    from metier.train import model as saved

    data, kept, write_model = rows(), {}, saved.save
    monkeypatch.setattr(saved, "save", lambda folder, module, *rest: (kept.update(module=module),
                                                                      write_model(folder, module, *rest)))  # fmt: skip
    write(table(data, EXAMPLES), tmp_path / "examples" / "examples.parquet")
    artifact = Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})
    rates = {"head_learning_rate": 0.1} if method == "frozen" else {}
    config = TrainConfig(base_model=str(base(family).path), method=method, **FAST | rates)
    train(config, RELATE, 0, artifact, tmp_path / "out", QUIET)
    model = load(tmp_path / "out" / "model", device="cpu")
    held = [row for row in data if row["split"] == "test"]
    decoded, encoded = model.predict([row["text"] for row in held])
    right = sum(a == row["label"] for a, row in zip(decoded.labels, held, strict=True))
    assert right >= {"full": 1.0, "lora": 0.9, "frozen": 0.9}[method] * len(held)
    with torch.no_grad():
        inputs, _ = model.method.inputs(kept["module"].eval(), encoded, 10_000, None)
        expected = kept["module"](inputs)
    torch.testing.assert_close(torch.tensor(model.logits(encoded)), expected, atol=1e-4, rtol=1e-4)
