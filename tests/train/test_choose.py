"""`method: auto` follows its rules, says why, and leaves the machine out of the model's identity."""

from __future__ import annotations

import json
import struct

import pytest
import yaml

from metier.errors import UserError
from metier.train import choose as module
from metier.train import memory
from metier.train.bases import Base
from metier.train.choose import REASONS, choose


@pytest.fixture
def sized(tmp_path):
    """A folder that looks like a base of so many parameters; sentence: as a sentence encoder."""

    def make(parameters: int, sentence: bool = False) -> Base:
        folder = tmp_path / f"{parameters}-{sentence}"
        (folder / "1_Pooling").mkdir(parents=True)
        header = json.dumps({"w": {"dtype": "F32", "shape": [parameters], "data_offsets": [0, 0]}}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
        if sentence:
            (folder / "1_Pooling" / "config.json").write_text("{}")
        return Base("b", folder, "b", "", "", "")

    return make


@pytest.mark.parametrize(
    ("parameters", "sentence", "each", "kind", "free", "method", "rule"),
    [
        (20_000_000, True, 5, "classify", 16e9, "frozen", "few"),
        (20_000_000, True, 500, "classify", 16e9, "full", "fits"),
        (20_000_000, False, 5, "classify", 16e9, "full", "fits"),
        (20_000_000, True, 5, "spans", 16e9, "full", "fits"),
        (2_000_000_000, False, 500, "classify", 80e9, "lora", "large"),
        (600_000_000, False, 500, "classify", 10e9, "lora", "tight"),
        (3_000_000_000, False, 500, "text", 10e9, "qlora", "tightest"),
        (20_000_000, False, 500, "classify", None, "full", "fits"),
    ],
)
def test_rules(sized, monkeypatch, parameters, sentence, each, kind, free, method, rule):
    monkeypatch.setattr(memory, "available", lambda device: free)
    monkeypatch.setattr(module, "names", lambda kind: ["full", "lora", "frozen", "qlora"])
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    base, labels = sized(parameters, sentence), {"a": each, "b": 900}
    found = choose(kind, labels, 1000, base, "cpu")
    assert (found.method, found.rule) == (method, rule)
    assert found == choose(kind, labels, 1000, base, "cpu")
    assert all(figure in found.told() for name, figure in found.figures.items() if f"{{{name}}}" in REASONS[rule])


def test_nothing_fits(sized, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 1e9)
    with pytest.raises(UserError, match="no method fits"):
        choose("text", {}, 100, sized(7_000_000_000), "cpu")


def test_every_reason_exists_in_both_languages():
    from pathlib import Path

    import metier

    strings = yaml.safe_load((Path(metier.__file__).parent / "report" / "strings.yaml").read_text(encoding="utf-8"))
    for rule, text in REASONS.items():
        assert strings[f"chosen.{rule}"]["en"] == text
        assert "{" in strings[f"chosen.{rule}"]["zh"]
