"""What whole runs need: a random base of two layers, a small table, and the command line called in this process."""

from __future__ import annotations

import os
import shutil
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from small import WORDS, Answer, rows, write_csv, write_recipe

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test may look for a model on the net
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # before anything imports it, as the command line does


# The same examples everywhere: a red test is then a change, not a draw. --hypothesis-profile=default explores.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the person who runs the tests do not decide where they write."""
    for name in ("METIER_STORE", "METIER_RUNS", "METIER_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of two layers (hidden 32, 64 positions) and a WordPiece tokenizer over letters."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base") / "tiny-bert"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *string.digits, ".", ",", *"这是一个卡丢了贷款利率转账给朋友的我请"]
    words = sorted({word for some in WORDS.values() for word in some if len(word) > 1})
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    BertModel(
        BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                   intermediate_size=64, max_position_embeddings=64)
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, entered."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def metier(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """metier("run", "data.csv") -> Answer; the command line without a new process."""

    def call(*arguments: object) -> Answer:
        from metier.cli import main

        monkeypatch.setattr(sys, "argv", ["metier", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(bool(error.code))
        shown = capsys.readouterr()
        return Answer(code, shown.out, shown.err)

    return call


@pytest.fixture(scope="session")
def finished(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with recipe.yaml, data.csv, and a finished run of it in .metier/store and runs/; not to be changed."""
    from metier.artifact import Store
    from metier.console import Console
    from metier.recipe import load
    from metier.run import Context, run

    folder = tmp_path_factory.mktemp("finished")
    write_csv(folder / "data.csv", rows())
    recipe = load(write_recipe(folder, tiny_base))
    run(recipe, Context(folder, Store(folder / ".metier" / "store"), folder / "runs", Console(quiet=True)))
    yield folder


@pytest.fixture
def copied(finished: Path, work: Path) -> Path:
    """A copy of the finished folder, entered; to be changed at will."""
    shutil.copytree(finished, work, symlinks=True, dirs_exist_ok=True)
    return work
