"""The bases that come with the package: whole, small, told truly, and usable without anything of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metier.errors import UserError
from metier.train import bases, chat

OWN = sorted(name for name, base in bases.INSTALLED.items() if base.package == "metier")


@pytest.mark.parametrize("name", OWN)
def test_files_are_whole_and_small(name: str) -> None:
    found = bases.resolve(name)
    assert found.sha256 == bases.INSTALLED[name].sha256 and found.license == "cc-by-sa-4.0"
    assert sum(file.stat().st_size for file in found.path.iterdir()) < 45e6
    assert all(file.stat().st_mode & 0o044 for file in found.path.iterdir())  # readable once installed


@pytest.mark.parametrize("name", OWN)
def test_plain_transformers_loads_them(name: str) -> None:
    import torch
    import transformers

    path = bases.resolve(name).path
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    assert model.config.model_type == "llama" and 4e6 < model.num_parameters() < 8e6
    assert len(tokenizer) == model.config.vocab_size and 16_000 <= len(tokenizer) <= 24_000
    for text in ("The fee is 12.50 a year.\n\tIt's due.", "年费为12.5元，逾期加收。", "🙂 Ωé ﷺ", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text  # no text is unknown to it
    assert tokenizer.convert_ids_to_tokens(tokenizer("2026")["input_ids"]) == list("2026")
    ids = tokenizer("The bank is in the city.", return_tensors="pt").input_ids
    assert torch.isfinite(model(ids).logits).all()


@pytest.mark.parametrize("name", OWN)
def test_an_answer_ends_with_a_stop_token(name: str) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(bases.resolve(name).path)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"},
             {"role": "assistant", "content": "Hello."}]  # fmt: skip
    made = chat.encode(tokenizer, chat.write(tokenizer, turns))
    learned = made.ids[made.weights > 0]
    assert learned[-1] == tokenizer.eos_token_id and tokenizer.decode(learned[:-1]) == "Hello."


@pytest.mark.parametrize("name", OWN)
def test_its_card_says_what_it_is(name: str) -> None:
    card = (bases.resolve(name).path / "README.md").read_text(encoding="utf-8")
    assert "CC BY-SA" in card and "never a claim of quality" in card and "What it cannot do" in card
    assert "{" not in card.partition("---\n")[2].replace("{{", ""), "a figure was not filled in"


def test_every_base_that_is_told_of_is_there_and_no_other() -> None:
    assert sorted(path.name for path in bases.SHIPPED.iterdir() if path.is_dir()) == OWN


@pytest.mark.parametrize("name", OWN)
def test_weights_that_were_changed_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bases.SHIPPED / name, tmp_path / "metier_copy" / "bases" / name)
    weights = tmp_path / "metier_copy" / "bases" / name / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    (tmp_path / "metier_copy" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    moved = bases.InstalledBase(**{**vars(bases.INSTALLED[name]), "package": "metier_copy"})
    monkeypatch.setitem(bases.INSTALLED, name, moved)
    with pytest.raises(UserError, match="not the published ones"):
        bases.resolve(name)
