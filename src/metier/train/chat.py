"""Conversations as tokens, and which of them are learned: what the assistant says, its stop token included.

Purpose: the model's own chat template writes the conversation; where each answer begins and ends is found by writing
the conversation once up to the answer (with the template's opening for an answer) and once with it, so no template
needs marks of its own, and the mask is right for templates that nobody has seen here. An answer ends with the stop
token: a template whose stop token would not be learned makes a model that never ends, so it is refused before
training. What comes after the stop token (a line end) is not learned.
A base without a template gets a plain one, which is saved with the tuned model.
Trade-off: the conversation is written twice for each answer; that costs milliseconds and is done once.
Not covered: templates that write an earlier turn differently once a later one follows (they are refused, with the
turn named), pictures and sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.errors import UserError
from metier.train.sharing import Example

Message = Mapping[str, Any]  # role: system, user, assistant or tool; content: str

PLAIN_TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% elif message.role == 'assistant' %}Assistant:\n{{ message.content }}{{ eos_token }}\n"
    "{% elif message.role == 'tool' %}Tool:\n{{ message.content }}\n"
    "{% else %}User:\n{{ message.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)
"""For bases without a template of their own; each role on a line, answers end with the tokenizer's end token."""


@dataclass(frozen=True)
class Written:
    """A conversation as the template writes it, and the characters that are learned: one stretch an answer."""

    text: str
    learned: tuple[tuple[int, int], ...]


def prepare_tokenizer(tokenizer: Any) -> bool:
    """Give a tokenizer without a chat template the plain one; True if that was so. UserError without an end token."""
    if tokenizer.eos_token is None:
        raise UserError(
            "this base has no end token, so a tuned model could not say where its answer ends", "train.base_model",
            "set eos_token in the base's tokenizer_config.json, or choose another base",
        )  # fmt: skip
    if tokenizer.chat_template:
        return False
    tokenizer.chat_template = PLAIN_TEMPLATE
    return True


def write(tokenizer: Any, messages: Sequence[Message], tools: Any = None) -> Written:
    """The whole conversation; every assistant turn is learned, except one that says so by `"loss": false`."""
    whole = _apply(tokenizer, messages, tools)
    learned = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("loss") is False:
            continue
        before = _apply(tokenizer, messages[:index], tools, answer=True)
        after = _apply(tokenizer, messages[: index + 1], tools)
        if not after.startswith(before) or not whole.startswith(after):
            raise UserError(
                f"the base's chat template writes turn {index + 1} differently depending on what follows it, so what "
                "is learned would not be what is asked for later", "chat_template",
                "train on conversations of one answer each, or give the base another template",
            )  # fmt: skip
        learned.append((len(before), len(after)))
    return Written(whole, tuple(learned))


def prompt(tokenizer: Any, messages: Sequence[Message], tools: Any = None) -> str:
    """What the model is given to answer: the conversation so far and the template's opening for an answer."""
    return _apply(tokenizer, messages, tools, answer=True)


def encode(tokenizer: Any, written: Written) -> Example:
    """Token ids, and weight 1 for every learned token. The last learned token of each answer is its stop token.

    UserError when an answer does not end with a special token: the tuned model would never stop.
    """
    found = tokenizer(written.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids = np.array(found["input_ids"], np.int64)
    spans = np.array(found["offset_mapping"], np.int64).reshape(-1, 2)
    special = np.isin(ids, stop_tokens(tokenizer))
    weights = np.zeros(len(ids), np.float32)
    for start, stop in written.learned:
        inside = np.flatnonzero((spans[:, 0] >= start) & (spans[:, 1] <= stop) & (spans[:, 1] > spans[:, 0]))
        ends = inside[special[inside]]
        if not len(ends):
            raise UserError(
                "the chat template puts no stop token behind an answer, so a tuned model would never end",
                f"after {written.text[max(0, stop - 30) : stop]!r}",
                "give the base a template whose answers end with its end token",
            )  # fmt: skip
        weights[inside[inside <= ends[-1]]] = 1
    weights[:1] = 0
    return Example(ids, weights)


def stop_tokens(tokenizer: Any) -> list[int]:
    """Ids after which an answer is over: the end token and every special token that a template may end a turn with."""
    marks = {tokenizer.eos_token_id, *tokenizer.all_special_ids}
    added = getattr(tokenizer, "added_tokens_decoder", {})
    marks |= {int(index) for index, token in added.items() if getattr(token, "special", False)}
    return sorted(mark for mark in marks if mark is not None)


def _apply(tokenizer: Any, messages: Sequence[Message], tools: Any, answer: bool = False) -> str:
    if not messages and not answer:
        return ""
    try:
        return str(tokenizer.apply_chat_template(
            [dict(message) for message in messages], tools=tools or None, tokenize=False, add_generation_prompt=answer,
        ))  # fmt: skip
    except Exception as error:  # templates raise whatever their authors chose: wrong roles, wrong order
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise UserError(f"the base's chat template refuses this conversation: {error}", f"roles: {roles}",
                        "check the order of the roles") from error  # fmt: skip
