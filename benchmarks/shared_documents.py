"""Many questions about one document: `python benchmarks/shared_documents.py`.

One training step of a random Llama-like model (26 M parameters, float32) on k questions about one document, once as one
tree (the document computed once) and once as k separate sequences without padding. Both give the same loss; the ratio
of seconds is the claim. Not covered: peers (they pad or pack), other devices.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from metier.train import tree_attention
from metier.train.head_loss import labelled_losses
from metier.train.loop import reuse_memory
from metier.train.sharing import Example, Row, plant

SHAPES = ((400, 8, 40), (900, 12, 30), (1500, 17, 50))  # tokens of the document, questions, tokens of each
VOCABULARY, LABELLED = 16_000, 3


def examples(document: int, questions: int, tokens: int) -> list[Example]:
    """Random token ids; the last three of each question bear loss."""
    draw = np.random.default_rng(0)
    shared = draw.integers(3, VOCABULARY, document)
    weights = np.zeros(document + tokens, np.float32)
    weights[-LABELLED:] = 1
    return [Example(np.concatenate([shared, draw.integers(3, VOCABULARY, tokens)]), weights) for _ in range(questions)]


def step(model: Any, rows: list[Row]) -> tuple[float, float]:
    """(seconds, loss) of forward and backward over all rows."""
    start, total = time.perf_counter(), 0.0
    model.zero_grad()
    for row in rows:
        with tree_attention.tree(row):
            ids, positions = torch.from_numpy(row.ids)[None], torch.from_numpy(row.positions)[None]
            states = model.base_model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state[0]
        weights = torch.zeros(len(row.predictor)).index_add(0, torch.from_numpy(row.pair), torch.from_numpy(row.weight))
        predictor, target = torch.from_numpy(row.predictor), torch.from_numpy(row.target)
        loss = labelled_losses(model.lm_head, states[predictor], target, weights)
        loss.backward()
        total += loss.item()
    return time.perf_counter() - start, total


def main() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    tree_attention.install()
    reuse_memory()
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=384, intermediate_size=1024, num_hidden_layers=8,
                         num_attention_heads=6, max_position_embeddings=2048)  # fmt: skip
    model = LlamaForCausalLM(config)
    model.set_attn_implementation(tree_attention.NAME)
    print("| document | questions | tokens each | separate, s | shared, s | ratio | relative difference of loss |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for document, questions, tokens in SHAPES:
        made = examples(document, questions, tokens)
        together, apart = [plant(made)], [plant([one]) for one in made]
        step(model, together)
        pairs = [(step(model, apart), step(model, together)) for _ in range(given.rounds)]
        separate, shared = (min(pair[side][0] for pair in pairs) for side in (0, 1))
        difference = abs(pairs[0][0][1] / pairs[0][1][1] - 1)
        print(f"| {document} | {questions} | {tokens} | {separate:.1f} | {shared:.1f} | {separate / shared:.1f} | "
              f"{difference:.0e} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
