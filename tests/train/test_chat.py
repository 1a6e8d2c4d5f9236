"""The mask of a conversation: answers and their stop tokens are learned, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from metier.errors import UserError
from metier.train import chat

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "What is a levy?"},
    {"role": "assistant", "content": "A tax."},
    {"role": "user", "content": "什么是利率？"},
    {"role": "assistant", "content": "借钱的价格。"},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return fast


def learned(tokenizer: Any, messages: list[dict[str, Any]]) -> list[str]:
    """The learned stretches as text."""
    example = chat.encode(tokenizer, chat.write(tokenizer, messages))
    found: list[list[int]] = []
    for place, (token, weight) in enumerate(zip(example.ids.tolist(), example.weights.tolist(), strict=True)):
        if weight:
            if not found or not example.weights[place - 1]:
                found.append([])
            found[-1].append(token)
    return [tokenizer.decode(ids) for ids in found]


@pytest.mark.parametrize("template, stop", [(CHATML, "<|im_end|>"), (None, "<|end|>")], ids=["chatml", "plain"])
def test_answers_and_their_stop_tokens_are_learned(tokenizer: Any, template: str | None, stop: str) -> None:
    tokenizer.chat_template = template
    assert chat.prepare_tokenizer(tokenizer) == (template is None)
    assert learned(tokenizer, TALK) == [f"A tax.{stop}", f"借钱的价格。{stop}"]


@pytest.mark.parametrize("template", [CHATML, chat.PLAIN_TEMPLATE], ids=["chatml", "plain"])
def test_what_is_asked_later_is_what_was_trained_before_the_answer(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    for turns in (3, 5):
        whole = chat.encode(tokenizer, chat.write(tokenizer, TALK[:turns])).ids.tolist()
        asked = tokenizer(chat.prompt(tokenizer, TALK[: turns - 1]), add_special_tokens=False)["input_ids"]
        assert whole[: len(asked)] == asked and len(whole) > len(asked)


def test_a_turn_can_be_left_out(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    first = [*TALK[:2], {**TALK[2], "loss": False}, *TALK[3:]]
    assert learned(tokenizer, first) == ["借钱的价格。<|im_end|>"]


def test_a_template_without_a_stop_token_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML.replace("<|im_end|>", "")
    with pytest.raises(UserError, match="no stop token"):
        learned(tokenizer, TALK)


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else '...' }}")
    with pytest.raises(UserError, match="turn 3 differently"):
        learned(tokenizer, TALK)


def test_a_template_that_objects_is_quoted(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('only users may speak first') }}"
    with pytest.raises(UserError, match="only users may speak first"):
        chat.write(tokenizer, TALK)


def test_a_base_without_an_end_token_is_refused(tokenizer: Any) -> None:
    from copy import copy

    bare = copy(tokenizer)
    bare.eos_token = None
    with pytest.raises(UserError, match="no end token"):
        chat.prepare_tokenizer(bare)
