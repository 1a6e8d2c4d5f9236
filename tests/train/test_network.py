"""Every family gives, through our batches, the logits that its own class gives for each text alone."""

from __future__ import annotations

import pytest
import torch
import transformers
from tests.train.models import FAMILIES

from metier.errors import UserError
from metier.train.bases import resolve
from metier.train.encoding import Item
from metier.train.network import Shape, load, pooling_of

IDS = [(2, 5, 6, 7, 3), (2, 8, 3), (2, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 3), (2, 5, 6, 7, 3)]
TEXTS = [Item((ids,)) for ids in IDS]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_the_models_own(family, base):
    network = load(base(family), Shape(3, "single_label_classification", "own"), seed=1).eval()
    network.model.save_pretrained(folder := base(family).path.parent / f"{family}-saved")
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        found = network(TEXTS)
        expected = torch.cat([plain(input_ids=torch.tensor([ids])).logits for ids in IDS])
    assert network.flat == FAMILIES[family][2], f"{family}: flat is {network.flat}"
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_mean_pooling_equals_the_mean_of_each_text(family, base):
    network = load(base(family), Shape(3, "single_label_classification", "mean"), seed=1).eval()
    body = transformers.AutoModel.from_pretrained(base(family).path).eval()
    body = body.get_encoder() if body.config.is_encoder_decoder else body
    with torch.no_grad():
        found = network(TEXTS)
        states = [body(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0) for ids in IDS]
        expected = network.classifier(torch.stack(states))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2", "deberta"])
def test_gradients_equal_those_of_single_texts(family, base):
    network = load(base(family), Shape(2, "single_label_classification", "own", dropout=0.0), seed=1).train()
    targets = torch.tensor([0, 1, 1, 0])

    def gradients(batches):
        network.zero_grad()
        for texts, gold in batches:
            torch.nn.functional.cross_entropy(network(texts), gold, reduction="sum").backward()
        return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}

    together = gradients([(TEXTS, targets)])
    apart = gradients([([text], targets[i : i + 1]) for i, text in enumerate(TEXTS)])
    assert together.keys() == apart.keys()
    for name in together:
        torch.testing.assert_close(together[name], apart[name], atol=1e-5, rtol=1e-3)


def test_windows_of_a_text_are_averaged(base):
    network = load(base("bert"), Shape(3, "single_label_classification", "own"), seed=1).eval()
    with torch.no_grad():
        both = network([Item(((2, 5, 3), (2, 8, 9, 3)))])
        single = network([Item(((2, 5, 3),)), Item(((2, 8, 9, 3),))])
    torch.testing.assert_close(both[0], single.mean(0))


def test_pooling_follows_the_base(base, tmp_path):
    assert pooling_of(resolve("minilm"), "auto") == "mean"
    assert pooling_of(base("bert"), "auto") == "own"
    assert pooling_of(resolve("minilm"), "own") == "own"


@pytest.mark.parametrize("config", ['{"model_type": "vit"}', "{}", '{"auto_map": {"AutoConfig": "code.Config"}}'])
def test_a_base_of_another_kind_is_a_user_error(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError):
        load(resolve(str(tmp_path)), Shape(2, "single_label_classification", "own"), seed=0)
