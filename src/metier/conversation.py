"""Talk with a model that writes: a run of Metier's, a base that comes with it, a folder, a model of the Hub.

Purpose: the same chat template, stop tokens and greedy writing as in training and evaluation, turn by turn, so that
what is seen in a terminal is what was measured. A conversation that no longer fits the model's window loses its oldest
turns, and says so; a single message that does not fit is refused.
Trade-off: the whole conversation is read again at every turn. Not covered: sampling, streaming, serving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.console import Console
from metier.errors import UserError
from metier.train.config import TaskConfig

LEAST = 16  # tokens that must be left for an answer
NEW, STOP, HELP = "/new", "/exit", "/help"
COMMANDS = f"{NEW} forgets what was said, {STOP} or an empty line ends"


@dataclass
class Conversation:
    """A model and what was said so far."""

    model: Any  # a TunedModel whose task writes
    system: str = ""
    most: int = 128  # tokens of an answer at most
    said: list[dict[str, str]] = field(default_factory=list)

    @property
    def window(self) -> int:
        """Tokens that the model reads at once, its answer included."""
        return int(getattr(self.model.module.config, "max_position_embeddings", 0) or self.model.encoder.max_length)

    def answer(self, message: str) -> tuple[str, list[str]]:
        """What the model answers, and remarks for the person: turns that were forgotten, an answer that was cut."""
        from metier.train.answering import write
        from metier.train.chat import stop_tokens

        turn = {"role": "user", "content": message}
        if len(self._prompt([turn])) > self.window - LEAST:
            raise UserError(f"the message is longer than the {self.window} tokens that this model reads at once",
                            "the conversation", "send a shorter one, or part of the document")  # fmt: skip
        self.said.append(turn)
        remarks = []
        if dropped := self._make_room():
            remarks.append(
                f"{dropped} earlier messages no longer fit the model's {self.window} tokens and are forgotten"
            )
        prompt = self._prompt(self.said)
        most = min(self.most, self.window - len(prompt))
        stops = stop_tokens(self.model.encoder.tokenizer)
        texts, finished = write(self.model, [prompt], stops, most, Console(quiet=True))
        self.said.append({"role": "assistant", "content": texts[0]})
        if not finished[0]:
            remarks.append(f"the answer was cut after {most} tokens")
        return texts[0], remarks

    def forget(self) -> None:
        """Begin anew."""
        self.said.clear()

    def _prompt(self, said: list[dict[str, str]]) -> list[int]:
        from metier.train import chat

        tokenizer = self.model.encoder.tokenizer
        head = [{"role": "system", "content": self.system}] if self.system else []
        written = chat.prompt(tokenizer, [*head, *said])
        return list(tokenizer(written, add_special_tokens=False, verbose=False)["input_ids"])

    def _make_room(self) -> int:
        """Forget the oldest turns until the prompt fits; returns how many messages that were."""
        before = len(self.said)
        while len(self._prompt(self.said)) > self.window - LEAST:
            del self.said[:2]
        return before - len(self.said)


def at_hand() -> str:
    """The base that answers where nobody names a model; UserError when this copy of the package brings none."""
    from metier.train.bases import INSTALLED, TALKER

    if TALKER not in INSTALLED:
        raise UserError(
            "no model is named, and no base that answers came with this copy of Metier", "metier chat",
            "name one: metier chat --model RUN, a folder, or a Hub id such as Qwen/Qwen2.5-0.5B-Instruct",
        )  # fmt: skip
    return TALKER


def open_model(name: str, device: str = "auto") -> Any:
    """The model of a run, or a base by name, folder or Hub id; UserError when there is none or it does not write."""
    from metier.errors import need
    from metier.prediction import find_model
    from metier.train import bases

    need("torch", "train")
    try:
        folder: Path | None = find_model(name)
    except UserError:
        folder = None
    from metier.train.model import load, of_base

    if folder is None:
        return of_base(bases.resolve(name, near=Path.cwd()), TaskConfig(name="chat"), device)

    model = load(folder, device)
    if getattr(model.module, "pooling", "") != "language":
        raise UserError(f"the model '{name}' was tuned to {model.task.config.name}, and does not write", str(folder),
                        "ask it with `metier predict`")  # fmt: skip
    return model


def talk(conversation: Conversation, lines: Iterable[str], say: Any, remark: Any) -> None:
    """Answer line after line until an empty one, `/exit` or the end. say, remark: functions of a text."""
    for line in lines:
        message = line.strip()
        if message in ("", STOP):
            return
        if message == HELP:
            remark(COMMANDS)
            continue
        if message == NEW:
            conversation.forget()
            remark("the conversation begins anew")
            continue
        try:
            answer, remarks = conversation.answer(message)
        except UserError as error:  # one message too long does not end a conversation
            remark(str(error))
            continue
        say(answer)
        for one in remarks:
            remark(one)
