"""No code of a model is run, and nothing is asked of a network once the base is on this disk."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from tests.train.models import build
from tests.train.test_merging import QUIET, adapter, rows

from metier.errors import UserError
from metier.tables import EXAMPLES, table
from metier.train import merging, model
from metier.train.bases import resolve
from metier.train.network import Shape, load

OWN = Shape(2, "single_label_classification", "own")
UNKNOWN = {"model_type": "mine", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
KNOWN = {"auto_map": {"AutoModelForSequenceClassification": "own.Model"}}


@pytest.mark.parametrize(("change", "writes"), [(UNKNOWN, False), (UNKNOWN, True), (KNOWN, False)])
def test_code_of_a_model_is_never_run(change, writes, tmp_path):
    folder = tmp_path / "base"
    build("bert", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    shape = Shape(1, "", "language", None, "examples") if writes else OWN
    if change is UNKNOWN:
        with pytest.raises(UserError, match="contains custom code") as told:
            load(resolve(str(folder)), shape, 0)
        assert "code of a model is never run" in told.value.fix
    else:  # Transformers has a class of its own for this kind of model, which is taken
        assert type(load(resolve(str(folder)), shape, 0).model).__module__.startswith("transformers.")
    assert not (tmp_path / "ran").exists()


def test_a_base_on_this_disk_needs_no_network(base, tmp_path, monkeypatch):
    """Load, wrap, save, load again, merge: without HF_HUB_OFFLINE, which would only hide that somebody asks."""
    asked: list[Any] = []

    def refuse(*where: Any, **more: Any) -> Any:
        asked.append(where)
        raise OSError("no network in this test")

    import huggingface_hub

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    tuned = adapter(base("bert"), "classify", tmp_path / "adapter")
    merging.merge(tuned, tmp_path / "adapter", tmp_path / "whole", table(rows(), EXAMPLES), QUIET)
    model.load(tmp_path / "whole", "cpu")
    assert not asked
