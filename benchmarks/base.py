"""How well a small base predicts general text that it never read, beside what needs no network.

Purpose: bits per byte of held-out documents, by source, for a base; beside it `xz -9` over the same bytes, and an
interpolated Kneser-Ney 5-gram over the same tokenizer's tokens, trained on at least the documents that the base read.
Below that bytes per token beside GPT-2's tokenizer and a character one, what the chat template writes, and the speed of
training (`base_speed.py`).
Trade-off: the n-gram is told every document of the training part even where the base has read only some of it.
Not covered: what the base is good for.

    metier prepare general/base                            # prints the folder with examples.parquet
    python benchmarks/base.py EXAMPLES.parquet --train WORK/read/examples/examples.parquet --bytes 300000
"""

from __future__ import annotations

import argparse
import lzma
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

AIMS = {"wikipedia-en": 1.9, "wikipedia-zh": 2.0}  # bits per byte, for a base that two processors trained
ORDER = 5


def documents(path: Path, split: str, most: int = 0) -> dict[str, list[str]]:
    """Source -> its texts of a split, in the order of their ids; with `most`, as many as have so many bytes."""
    from metier.tables import read

    found: dict[str, list[str]] = defaultdict(list)
    size: dict[str, int] = defaultdict(int)
    rows = read(path, columns=["id", "text", "split", "source"]).to_pylist()
    for row in sorted(rows, key=lambda row: row["id"]):
        # A book of validation is held out too; the script that trains moves it to the test split.
        held = row["split"] == split or (split == "test" and row["split"] == "validation" and len(row["text"]) > 10**5)
        source = row["source"].rpartition("/")[2].partition(".")[0]
        if held and not (most and size[source] >= most):
            text = row["text"].encode()[: most - size[source]].decode(errors="ignore") if most else row["text"]
            found[source].append(text)
            size[source] += len(text.encode())
    return dict(found)


def by_model(model: Any, texts: Sequence[str]) -> float:
    """Bits per byte of the texts under a model of the task `pretrain`."""
    import pyarrow as pa

    decoded, _ = model.predict(pa.table({"text": list(texts)}))
    return float(sum(decoded.bits) / sum(decoded.bytes))


def by_xz(texts: Sequence[str]) -> float:
    data = "\n\n".join(texts).encode()
    return 8 * len(lzma.compress(data, preset=9)) / len(data)


def by_gpt2(texts: Sequence[str]) -> float:
    """Bytes per token of GPT-2's tokenizer, which Daft brings along; NaN without Daft."""
    try:
        import daft
        from daft.functions import tokenize_encode
    except ImportError:
        return math.nan
    table = daft.from_pydict({"text": list(texts)}).select(tokenize_encode(daft.col("text"), "r50k_base"))
    return sum(len(text.encode()) for text in texts) / sum(len(ids) for ids in table.to_pydict()["text"])


def templated(tokenizer: Any) -> str:
    """What the chat template writes, and whether an answer ends with a token that stops the writing."""
    from metier.train import chat

    turns = [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]
    written = chat.write(tokenizer, turns)
    made = chat.encode(tokenizer, written)
    last = made.ids[made.weights > 0][-1]
    stops = chat.stop_tokens(tokenizer)
    shown = tokenizer.apply_chat_template(turns, tokenize=False).replace("\n", "\\n")
    return (f"Chat template: `{shown}`; an answer ends with `{tokenizer.convert_ids_to_tokens(int(last))}`, "
            f"{'which stops' if last in stops else 'which does NOT stop'} the writing.")  # fmt: skip


class Grams:
    """Interpolated Kneser-Ney with one discount an order (Chen & Goodman 1998, section 2.7) over token ids.

    A stretch of n tokens is a number: the place of its first n - 1 among all such, times the vocabulary, plus the last.
    """

    def __init__(self, texts: Sequence[Sequence[int]], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.keys: list[np.ndarray] = []  # of each order, sorted
        stretches = [self._stretches(texts, order, fit=True) for order in range(1, ORDER + 1)]
        self.tables: list[tuple[np.ndarray, np.ndarray, float]] = []
        for order in range(1, ORDER + 1):
            codes = stretches[order - 1]
            counts = np.bincount(codes, minlength=len(self.keys[order - 1])).astype(float)
            if order < ORDER:  # how many different tokens stand before it
                longer = self._suffixes(order + 1)
                counts = np.bincount(longer[longer >= 0], minlength=len(counts)).astype(float)
                counts = np.maximum(counts, 1)  # at the start of a text nothing stands before it
            once, twice = (counts == 1).sum(), (counts == 2).sum()
            discount = once / max(1, once + 2 * twice)
            context = self.keys[order - 1] // vocabulary if order > 1 else np.zeros(len(counts), np.int64)
            size = len(self.keys[order - 2]) if order > 1 else 1
            total = np.bincount(context, counts, size)
            kinds = np.bincount(context, minlength=size)
            with np.errstate(invalid="ignore", divide="ignore"):
                self.tables.append(((counts - discount) / total[context], discount * kinds / total, discount))

    def bits(self, texts: Sequence[Sequence[int]]) -> float:
        """Code length of all texts."""
        total = 0.0
        for ids in texts:
            codes = [self._codes(np.asarray(ids, np.int64), order) for order in range(1, ORDER + 1)]
            p = np.full(len(ids), 1.0 / self.vocabulary)
            for order in range(1, ORDER + 1):
                kept, rest, _ = self.tables[order - 1]
                gram = codes[order - 1]
                before = np.zeros(len(ids), np.int64) if order == 1 else np.r_[[-1], codes[order - 2][:-1]]
                known = (before >= 0) & np.isfinite(rest[before]) & (rest[before] > 0)
                p = np.where(known, np.where(gram >= 0, kept[gram], 0.0) + rest[before] * p, p)
            total += float(-np.log2(p).sum())
        return total

    def _codes(self, ids: np.ndarray, order: int) -> np.ndarray:
        """(n,) place of the stretch that ends at each token among those of its order; -1 where it is not known."""
        code = self._find(1, ids)
        for longer in range(2, order + 1):
            code = np.where(
                np.r_[[-1], code[:-1]] >= 0, self._find(longer, np.r_[[-1], code[:-1]] * self.vocabulary + ids), -1
            )
            code[: longer - 1] = -1
        return code

    def _find(self, order: int, raw: np.ndarray) -> np.ndarray:
        keys = self.keys[order - 1]
        at = np.minimum(np.searchsorted(keys, raw), len(keys) - 1)
        return np.where(keys[at] == raw, at, -1)

    def _stretches(self, texts: Sequence[Sequence[int]], order: int, fit: bool) -> np.ndarray:
        raw = []
        for ids in texts:
            ids_ = np.asarray(ids, np.int64)
            if len(ids_) < order:
                continue
            raw.append(
                ids_
                if order == 1
                else self._codes(ids_, order - 1)[order - 2 : -1] * self.vocabulary + ids_[order - 1 :]
            )
        flat = np.concatenate(raw) if raw else np.zeros(0, np.int64)
        self.keys.append(np.unique(flat))
        return np.searchsorted(self.keys[-1], flat)

    def _suffixes(self, order: int) -> np.ndarray:
        """For each stretch of an order the place of the one without its first token."""
        tokens = self._spell(order)
        code = self._find(1, tokens[:, 1])
        for place in range(2, order):
            code = np.where(code >= 0, self._find(place, code * self.vocabulary + tokens[:, place]), -1)
        return code

    def _spell(self, order: int) -> np.ndarray:
        """(G, order) tokens of every stretch."""
        keys = self.keys[order - 1]
        if order == 1:
            return keys[:, None]
        return np.c_[self._spell(order - 1)[keys // self.vocabulary], keys % self.vocabulary]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="with the test split")
    parser.add_argument("--train", type=Path, help="what the base read; the n-gram is trained on it")
    parser.add_argument("--model", default="primer", help="a base by name, or its folder")
    parser.add_argument("--bytes", type=int, default=0, help="of each source's held-out text at most; 0: all of it")
    given = parser.parse_args()

    from metier.train import bases
    from metier.train.config import TaskConfig
    from metier.train.model import of_base

    base = bases.resolve(given.model)
    model = of_base(base, TaskConfig(name="pretrain"), "cpu", overlap=128)
    held = documents(given.examples, "test", given.bytes)
    tokenizer = model.encoder.tokenizer

    def tokens(texts: Sequence[str]) -> list[list[int]]:
        end = [tokenizer.eos_token_id]
        return [end + ids + end for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]

    grams = None
    if given.train:
        read = [text for texts in documents(given.train, "train").values() for text in texts]
        grams = Grams(tokens(read), len(tokenizer))
    print(
        f"model {base.name}, sha256 {base.sha256[:16]}, {sum(p.numel() for p in model.module.parameters()):,} weights\n"
    )
    print("| source | documents | bytes | aim | base | 5-gram, same tokens | xz -9 | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for source, texts in sorted(held.items()):
        size = sum(len(text.encode()) for text in texts)
        start = time.process_time()
        found = by_model(model, texts)
        spent = time.process_time() - start
        gram = grams.bits([ids[1:] for ids in tokens(texts)]) / size if grams else math.nan
        aim = f"{AIMS[source]:.2f}" if source in AIMS else ""
        print(f"| {source} | {len(texts):,} | {size:,} | {aim} | {found:.3f} | {gram:.3f} "
              f"| {by_xz(texts):.3f} | {spent:.0f} |", flush=True)  # fmt: skip
    print("\nBytes per token (a character tokenizer has one token a character):\n")
    print("| source | this base | GPT-2 | characters |\n| --- | ---: | ---: | ---: |")
    for source, texts in sorted(held.items()):
        size = sum(len(text.encode()) for text in texts)
        count = sum(len(ids) - 2 for ids in tokens(texts))
        print(f"| {source} | {size / count:.2f} | {by_gpt2(texts):.2f} | {size / sum(map(len, texts)):.2f} |")
    print(f"\n{templated(tokenizer)}\n", flush=True)
    import base_speed

    base_speed.table(given.model, threads=1)


if __name__ == "__main__":
    main()
