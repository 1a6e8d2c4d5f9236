"""The bases that come with the package: whole, small, told truly, and usable without anything of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from metier.artifact import hash_file
from metier.cli import app
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


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a base in it, which stands in the list as `copied`."""
    package = tmp_path / "metier_copy"
    folder = package / "bases" / "copied"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for file, text in (("model.safetensors", "weights"), ("tokenizer.json", "{}"), ("README.md", "card")):
        (folder / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    base = bases.InstalledBase(
        name="copied", model="metier/copied", package="metier_copy", folder="bases/copied", distribution="metier",
        sha256=hash_file(folder / "model.safetensors"), license="cc-by-sa-4.0", note="",
        files={"tokenizer.json": hash_file(folder / "tokenizer.json")},
    )  # fmt: skip
    monkeypatch.setitem(bases.INSTALLED, "copied", base)
    assert bases.resolve("copied").path == folder
    return folder


@pytest.mark.parametrize(("file", "kind"), [("model.safetensors", "weights"), ("tokenizer.json", "files")])
def test_files_that_were_changed_or_lost_are_refused(copied: Path, file: str, kind: str) -> None:
    (copied / file).write_text("other")
    with pytest.raises(UserError, match=f"the {kind} of 'copied' are not the published ones"):
        bases.resolve("copied")
    (copied / file).unlink()
    with pytest.raises(UserError, match="the file is missing"):
        bases.resolve("copied")


def test_the_list_shows_size_and_damage(copied: Path) -> None:
    def line() -> str:
        return next(line for line in CliRunner().invoke(app, ["bases"]).output.splitlines() if line[:6] == "copied")

    assert "cc-by-sa-4.0" in line() and "0 MB, ready, sha256" in line()
    (copied / "model.safetensors").write_text("other")
    assert "not the published ones" in line() and "reinstall" in line()
