"""What the base is before it has read anything: a tokenizer, a Llama-kind configuration, and weights drawn at random.

Purpose: `blank` writes a folder that Transformers, vLLM and llama.cpp know as a small Llama, so nothing of ours is
needed to run what comes of it. The tokenizer is a byte-level BPE over both languages: no text is unknown to it, and
digits stand alone, so that numbers are read digit by digit.
Trade-off: in so small a model the vocabulary is most of the weights and of the arithmetic. 16,384 entries are the
fewest with which a frequent Chinese character, and many frequent words, are one token beside the English ones.
Not covered: training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

END, PAD, SYSTEM, USER, ASSISTANT = "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (END, PAD, SYSTEM, USER, ASSISTANT)
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>\n' + message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
VOCABULARY = 16_384
CONTEXT = 512  # tokens
REACH = 4  # tokens to either side that are a token's company
SPREAD = 0.02  # standard deviation of random embeddings, Transformers' own
# How text is cut before pairs are merged: words with the space before them, single digits, runs of punctuation. It is
# the rule that llama.cpp knows by the name `qwen2`, and it has no others than those that it knows.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. Heads are 64 wide, as every kernel likes them."""

    width: int
    layers: int
    inner: int  # width of the SwiGLU layers


# `processor` is what two shared cores can feed in hours, `accelerator` what one graphics processor can.
SHAPES = {"processor": Shape(192, 4, 512), "accelerator": Shape(384, 8, 1024)}


def train_tokenizer(texts: Iterable[str]) -> Any:
    """A fast Transformers tokenizer, learned from `texts`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=24,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=PAD, chat_template=TEMPLATE,
        extra_special_tokens=[SYSTEM, USER, ASSISTANT], model_max_length=CONTEXT, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def blank(shape: Shape, tokenizer: Any, seed: int, folder: Path, ids: Any = None) -> int:
    """Write configuration, tokenizer and random weights; returns the number of weights.

    ids: tokens of the text that will be read, in its order; embeddings then start from what stands beside what in it.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    heads = shape.width // 64
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=shape.width, intermediate_size=shape.inner,
            num_hidden_layers=shape.layers, num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=CONTEXT, tie_word_embeddings=True, rope_theta=10_000.0,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    if ids is not None:
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(
                torch.from_numpy(neighbours(ids, len(tokenizer), shape.width, seed))
            )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def neighbours(ids: Any, vocabulary: int, width: int, seed: int) -> Any:
    """(vocabulary, width) float32: embeddings of tokens by the company they keep, about as long as random ones.

    The positive pointwise mutual information of each token with those before and after it, its singular vectors, and a
    coordinate for how frequent it is (Levy & Goldberg 2014 show that word2vec factors nearly the same matrix). In a
    small model embeddings are most of the weights, and a rare token's gets few gradients: counting is quicker.
    """
    import numpy as np
    import scipy.sparse as sparse
    from sklearn.utils.extmath import randomized_svd

    random = np.random.default_rng(seed)
    ids, shape = np.asarray(ids, np.int64), (vocabulary, vocabulary)
    after = sparse.csr_matrix(shape, dtype=np.float32)
    for distance in range(1, REACH + 1):
        weights = np.full(len(ids) - distance, 1 / distance, np.float32)
        after = after + sparse.csr_matrix((weights, (ids[:-distance], ids[distance:])), shape)
    company = sparse.hstack([_information(after), _information(after.T)]).tocsr()
    left, values, _ = randomized_svd(company, width - 1, n_iter=2, random_state=seed)
    vectors = left * np.sqrt(values)
    unseen = np.linalg.norm(vectors, axis=1) < 1e-6
    vectors[unseen] = random.normal(size=(int(unseen.sum()), width - 1))
    vectors *= SPREAD * (width - 1) ** 0.5 / np.linalg.norm(vectors, axis=1, keepdims=True)
    frequency = np.log(np.bincount(ids, minlength=vocabulary) + 0.5)
    frequency = 2 * SPREAD * (frequency - frequency.mean()) / frequency.std()
    turn, _ = np.linalg.qr(random.normal(size=(width, width)))  # so that no coordinate is unlike the others
    return (np.concatenate([vectors, frequency[:, None]], axis=1) @ turn).astype(np.float32)


def _information(counts: Any) -> Any:
    """Positive pointwise mutual information; contexts smoothed by the power 3/4, as word2vec draws them."""
    import numpy as np
    import scipy.sparse as sparse

    found = counts.tocoo()
    rows, columns = np.asarray(found.sum(1)).ravel(), np.asarray(found.sum(0)).ravel() ** 0.75
    values = np.log(found.data * columns.sum() / (rows[found.row] * columns[found.col]))
    keep = values > 0
    return sparse.csr_matrix((values[keep], (found.row[keep], found.col[keep])), found.shape)


def sample(texts: Iterable[str], most: int) -> Iterator[str]:
    """Texts until `most` characters of them are given; a long one is cut, so that no book outweighs the rest."""
    given = 0
    for text in texts:
        piece = text[:20_000]
        given += len(piece)
        yield piece
        if given >= most:
            return
