"""Shared beginnings are exact: loss and gradients equal those of separate sequences, to rounding in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metier.train import tree_attention
from metier.train.head_loss import labelled_losses, per_place
from metier.train.sharing import Example, plant

VOCABULARY = 300
SIZES: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
                         "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip


def model_of(name: str, **more: Any) -> Any:
    import transformers as t

    made: dict[str, Any] = {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **more)),
        "qwen2": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**SIZES, **more)),
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**SIZES, head_dim=8, **more)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**SIZES, sliding_window=40)),
        "gpt2": lambda: t.GPT2LMHeadModel(t.GPT2Config(
            vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0, embd_pdrop=0,
            attn_pdrop=0, bos_token_id=1, eos_token_id=2)),
    }  # fmt: skip
    torch.manual_seed(0)
    return made[name]().train()


def forest() -> list[Example]:
    """Two documents, one a variant of the other (so the tree has three levels), their questions, and two singles."""
    draw = np.random.default_rng(3)

    def item(ids: list[int], labelled: int) -> Example:
        weights = np.zeros(len(ids), np.float32)
        weights[-labelled:] = draw.uniform(0.5, 1.5, labelled)
        return Example(np.array(ids, np.int64), weights)

    first = draw.integers(3, VOCABULARY, 70).tolist()
    second = [*first[:40], *draw.integers(3, VOCABULARY, 30)]
    made = [item([*first, *draw.integers(3, VOCABULARY, draw.integers(8, 25))], 4) for _ in range(6)]
    made += [item([*second, *draw.integers(3, VOCABULARY, 12)], 12) for _ in range(3)]
    made += [item(draw.integers(3, VOCABULARY, 25).tolist(), 6) for _ in range(2)]
    return made


def separate(model: Any, examples: list[Example]) -> torch.Tensor:
    """The reference: each example by itself through plain Transformers."""
    model.set_attn_implementation("sdpa")
    total = torch.zeros(())
    for one in examples:
        ids = torch.from_numpy(one.ids)[None]
        logits = model(ids, use_cache=False).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        total = total + (losses * torch.from_numpy(one.weights[1:])).sum()
    return total


def together(model: Any, examples: list[Example], shortest: int = 16) -> torch.Tensor:
    """All examples in one row."""
    tree_attention.install()
    model.set_attn_implementation(tree_attention.NAME)
    row = plant(examples, shortest)
    body = model.get_base_model().model if hasattr(model, "peft_config") else model.base_model
    with tree_attention.tree(row):
        ids, positions = torch.from_numpy(row.ids)[None], torch.from_numpy(row.positions)[None]
        states = body(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state[0]
    weights = torch.zeros(len(row.predictor)).index_add(0, torch.from_numpy(row.pair), torch.from_numpy(row.weight))
    head = model.get_output_embeddings()
    return labelled_losses(head, states[torch.from_numpy(row.predictor)], torch.from_numpy(row.target), weights)


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad and p.grad is not None])


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "gpt2", "mistral"])
@pytest.mark.parametrize("shortest", [16, 10_000], ids=["shared", "packed"])
def test_gradients_equal_those_of_separate_sequences(name: str, shortest: int) -> None:
    model, examples = model_of(name), forest()
    expected_loss = separate(model, examples)
    expected = gradients(model, expected_loss)
    loss = together(model, examples, shortest)
    found = gradients(model, loss)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert (found - expected).norm() / expected.norm() <= 1e-5


def test_tied_embeddings_learn_the_same() -> None:
    model, examples = model_of("llama", tie_word_embeddings=True), forest()
    expected = gradients(model, separate(model, examples))
    assert (gradients(model, together(model, examples)) - expected).norm() / expected.norm() <= 1e-5


def test_gradients_of_adapters_are_the_same() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(model_of("llama"), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    examples = forest()
    expected = gradients(model, separate(model, examples))
    found = gradients(model, together(model, examples))
    assert len(found) and (found - expected).norm() / expected.norm() <= 1e-5


def test_a_branch_does_not_see_its_neighbour() -> None:
    """Changing one branch changes no hidden state of another one; changing the document changes all."""
    model = model_of("llama").eval()
    tree_attention.install()
    model.set_attn_implementation(tree_attention.NAME)
    document = list(range(10, 60))

    def states(first: int, start: int) -> torch.Tensor:
        examples = [Example(np.array([start, *document, first, 7, 7]), np.zeros(54, np.float32)),
                    Example(np.array([start, *document, 9, 8, 8]), np.zeros(54, np.float32))]  # fmt: skip
        row = plant(examples)
        with torch.no_grad(), tree_attention.tree(row):
            out = model.model(input_ids=torch.from_numpy(row.ids)[None], use_cache=False,
                              position_ids=torch.from_numpy(row.positions)[None]).last_hidden_state[0]  # fmt: skip
        return out[(row.ids == 8).nonzero()[0]]

    assert torch.equal(states(5, 1), states(6, 1))
    assert not torch.allclose(states(5, 1), states(5, 3))


def test_the_mask_of_other_devices_says_the_same() -> None:
    row = plant(forest())
    ends = torch.from_numpy(row.ends)
    mask = tree_attention.allowed(ends)
    for place in range(len(row)):
        node = next(n for n, item in enumerate(row.nodes) if item.start <= place < item.stop)
        seen = set(range(row.nodes[node].start, place + 1))
        while (node := row.nodes[node].parent) >= 0:
            seen |= set(range(row.nodes[node].start, row.nodes[node].stop))
        assert set(mask[place].nonzero()[:, 0].tolist()) == seen


def test_flex_attention_gives_the_same_answer() -> None:
    torch.manual_seed(1)
    row = plant(forest())
    query, key, value = (torch.randn(1, 2, len(row), 16) for _ in range(3))
    with tree_attention.tree(row):
        here = tree_attention.TREE.get()
        pieces = tree_attention._Pieces.apply(query, key, value, 0.25, here)
        flex = tree_attention._flex(query, key, value, 0.25, here)
    assert torch.allclose(pieces, flex, atol=1e-5)


@pytest.mark.parametrize("places", [1, 37, 200])
def test_the_chunked_head_equals_the_plain_one(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier.train import head_loss

    monkeypatch.setattr(head_loss, "CHUNK_BYTES", 4 * 50 * 16)  # 16 places a chunk
    torch.manual_seed(0)
    head = torch.nn.Linear(12, 50, bias=False)
    hidden = torch.randn(places, 12, requires_grad=True)
    targets, weights = torch.randint(0, 50, (places,)), torch.rand(places)
    losses = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="none")
    (losses * weights).sum().backward()
    expected = hidden.grad.clone(), head.weight.grad.clone()  # type: ignore[union-attr]
    hidden.grad = head.weight.grad = None
    found = labelled_losses(head, hidden, targets, weights)
    found.backward()
    assert found.item() == pytest.approx((losses * weights).sum().item(), rel=1e-5)
    assert torch.allclose(hidden.grad, expected[0], atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(head.weight.grad, expected[1], atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(per_place(head, hidden, targets), losses, atol=1e-5)


def test_the_head_never_holds_all_logits() -> None:
    """Peak memory of the loss does not grow with vocabulary times length."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                Largest.elements = max(Largest.elements, out.numel())
            return out

    vocabulary, places = 20_000, 4_000
    head = torch.nn.Linear(8, vocabulary, bias=False)
    hidden = torch.randn(places, 8, requires_grad=True)
    with Largest():
        labelled_losses(head, hidden, torch.randint(0, vocabulary, (places,)), torch.ones(places)).backward()
    assert Largest.elements <= 16_800_000 + vocabulary < places * vocabulary


def test_large_scores_give_finite_gradients():
    """Nodes of nearly equal length share a padded block; scores a hundred apart must not overflow in its padding."""
    draw = np.random.default_rng(5)
    weights = np.ones(74, np.float32)
    weights[0] = 0
    made = [Example(draw.integers(3, VOCABULARY, n), weights[:n]) for n in (70, 74, 56)]
    tree_attention.install()
    row = plant(made)
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randn(1, 2, len(row), 8, generator=generator) * 20 for _ in range(3)]
    found = []
    for way in ("pieces", "dense"):
        query, key, value = (leaf.clone().requires_grad_() for leaf in leaves)
        with tree_attention.tree(row):
            here = tree_attention.TREE.get()
            out = (tree_attention._Pieces.apply(query, key, value, 1.0, here) if way == "pieces" else
                   tree_attention._dense(query, key, value, 1.0, here, None, None))  # fmt: skip
        (out * torch.linspace(0, 1, 8)).sum().backward()
        found.append(torch.cat([leaf.grad.flatten() for leaf in (query, key, value)]))
    assert torch.isfinite(found[0]).all()
    assert torch.linalg.norm(found[0] - found[1]) <= 1e-4 * torch.linalg.norm(found[1])
