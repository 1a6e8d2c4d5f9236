from __future__ import annotations

import json
import shutil

import pytest

from metier.errors import UserError
from metier.train import bases


def test_the_installed_base_is_checked_by_its_hash(monkeypatch):
    found = bases.resolve("minilm")
    assert found.sha256 == bases.INSTALLED["minilm"].sha256
    wrong = bases.InstalledBase(**{**vars(bases.INSTALLED["minilm"]), "sha256": "0" * 64})
    monkeypatch.setitem(bases.INSTALLED, "minilm", wrong)
    with pytest.raises(UserError, match="not the published ones"):
        bases.resolve("minilm")


def test_a_missing_package_names_its_pip_line(monkeypatch):
    gone = bases.InstalledBase(**{**vars(bases.INSTALLED["minilm"]), "package": "no_such_package_here"})
    monkeypatch.setitem(bases.INSTALLED, "minilm", gone)
    with pytest.raises(UserError, match="pip install"):
        bases.resolve("minilm")


def test_a_folder_is_known_by_its_bytes(base, tmp_path):
    shutil.copytree(base("bert").path, tmp_path / "copy")
    copy = bases.resolve("copy", near=tmp_path)
    assert copy.sha256 == base("bert").sha256
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert bases.resolve("copy", near=tmp_path).sha256 != copy.sha256
    assert "path" not in bases.resolve("copy", near=tmp_path).describe()


@pytest.mark.parametrize("name", ["vocab.txt", "1_Pooling/config.json", "chat_template.jinja"])
def test_every_file_that_decides_an_answer_counts(base, tmp_path, name):
    shutil.copytree(base("bert").path, tmp_path / "copy")
    before = bases.resolve(str(tmp_path / "copy")).sha256
    (tmp_path / "copy" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "copy" / name).write_text("{}")
    assert bases.resolve(str(tmp_path / "copy")).sha256 != before


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_half_a_model_is_a_user_error(base, tmp_path, missing):
    shutil.copytree(base("bert").path, tmp_path / "half")
    (tmp_path / "half" / missing).unlink()
    with pytest.raises(UserError, match="holds no"):
        bases.resolve(str(tmp_path / "half"))


def test_a_hub_id_without_network_says_what_to_do(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError) as error:
        bases.resolve("somebody/some-model-that-is-not-here")
    assert "Hugging Face Hub" in error.value.what and "installed base" in error.value.fix


def test_a_typing_error_is_met_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'minilm'"):
        bases.resolve("minilmm")
