"""Muon: its step against PyTorch's own, which weights it moves, that a stopped run goes on exactly, what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tests.train.test_masking import PRETRAIN, artifact
from tests.train.test_stage import QUIET
from torch import nn

from metier.errors import UserError
from metier.recipe import parse
from metier.train import loop
from metier.train.checkpoint import load
from metier.train.config import TrainConfig
from metier.train.loop import Rates
from metier.train.optimizers import Muon, make_optimizer, orthogonal
from metier.train.pairs import check
from metier.train.stage import train

RATES = Rates(learning_rate=0.01, head_learning_rate=0.1, epochs=1, batch_size=4)


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_singular_vectors_stay_and_all_values_come_near_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    matrices = left @ torch.diag_embed(values.clamp(min=0.1 * values.max())) @ right  # 5 iterations reach so far down
    found = left.mT @ orthogonal(matrices) @ right.mT
    values = torch.diagonal(found, dim1=-2, dim2=-1)
    assert (found - torch.diag_embed(values)).abs().max() < 1e-3 and values.min() > 0.6 and values.max() < 1.3
    one_by_one = torch.cat([orthogonal(matrix[None]) for matrix in matrices])
    assert torch.allclose(one_by_one, orthogonal(matrices), atol=1e-5)


def test_a_step_is_that_of_pytorch_and_others_are_adamws() -> None:
    start = {"matrix": torch.randn(12, 20), "vector": torch.randn(12)}
    ours = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    theirs = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    mine = Muon([{"params": [ours["matrix"]], "orthogonal": True}, {"params": [ours["vector"]]}], lr=0.01,
                weight_decay=0.1)  # fmt: skip
    peers = [
        torch.optim.Muon([theirs["matrix"]], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([theirs["vector"]], lr=0.01, weight_decay=0.1),
    ]
    for _ in range(5):
        gradients = {name: torch.randn(value.shape) for name, value in start.items()}
        for name, gradient in gradients.items():
            ours[name].grad, theirs[name].grad = gradient.clone(), gradient.clone()
        mine.step()
        for peer in peers:
            peer.step()
    moved = (theirs["matrix"] - start["matrix"]).norm()
    assert (ours["matrix"] - theirs["matrix"]).norm() < 0.02 * moved  # they iterate in bfloat16
    assert torch.equal(ours["vector"], theirs["vector"])


def test_embeddings_heads_and_vectors_are_left_to_adamw(base) -> None:
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(base("llama").path)
    optimizer = make_optimizer(model, TrainConfig(optimizer="muon"), RATES)
    names = {parameter: name for name, parameter in model.named_parameters()}
    turned = {names[p] for group in optimizer.param_groups if group["orthogonal"] for p in group["params"]}
    every = {names[p] for group in optimizer.param_groups for p in group["params"]}
    assert every == set(names.values())
    assert turned == {name for name in every if "_proj" in name}
    plain = make_optimizer(model, TrainConfig(), RATES)
    assert type(plain) is torch.optim.AdamW and len(plain.param_groups) == 2


def test_a_stopped_run_goes_on_exactly(base, tmp_path, monkeypatch) -> None:
    class Stop(Exception):
        pass

    data = [{"id": str(n), "text": f"The card number {n} is lost, please block it. " * 3,
             "split": "validation" if n % 5 == 4 else "train"} for n in range(30)]  # fmt: skip
    config = TrainConfig(base_model=str(base("llama").path), optimizer="muon", epochs=3, batch_size=8, device="cpu",
                         max_length=64, bf16=False, learning_rate=1e-3, checkpoint_seconds=0.0)  # fmt: skip
    given = artifact(tmp_path, data)
    whole = train(config, PRETRAIN, 0, given, tmp_path / "whole", QUIET)
    save = loop._save

    def stopping(folder, *rest):
        save(folder, *rest)
        if load(folder)["progress"]["step"] == 4:
            raise Stop

    monkeypatch.setattr(loop, "_save", stopping)
    with pytest.raises(Stop):
        train(config, PRETRAIN, 0, given, tmp_path / "cut", QUIET)
    monkeypatch.undo()
    resumed = train(config, PRETRAIN, 0, given, tmp_path / "cut", QUIET)
    assert [line["train_loss"] for line in resumed["history"]] == [line["train_loss"] for line in whole["history"]]
    assert whole["history"][-1]["train_loss"] < whole["history"][0]["train_loss"]


def test_where_whole_matrices_do_not_move_it_is_refused(monkeypatch) -> None:
    recipe = parse({"name": "x", "task": "classify", "train": {"optimizer": "muon", "method": "lora"}})
    with pytest.raises(UserError, match=r"muon.*lora"):
        check("classify", recipe.train)
    check("classify", recipe.train.model_copy(update={"method": "full"}))
    made = SimpleNamespace(is_fsdp2=True)
    monkeypatch.setattr("accelerate.Accelerator", lambda **_: made)
    monkeypatch.setattr(loop.processes, "check", lambda _: None)
    with pytest.raises(UserError, match="shards"):
        loop.make_accelerator(recipe.train)
