"""Small random models of many families, built from configurations; no weights are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier.train.bases import Base, resolve

WORDS = [
    *["the", "a", "card", "bank", "lost", "my", "is", "not", "here", "please", "help", "pay", "late", "fee", "loan"],
    *"我的卡丢了钱",
]
COMMON = {"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 1}
MIDDLE = {"intermediate_size": 48}

# family -> (configuration class, arguments, whether its rows can be flattened)
FAMILIES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "bert": ("BertConfig", COMMON | MIDDLE, True),
    "roberta": ("RobertaConfig", COMMON | MIDDLE | {"max_position_embeddings": 80}, True),
    "electra": ("ElectraConfig", COMMON | MIDDLE | {"embedding_size": 32}, True),
    "distilbert": (
        "DistilBertConfig",
        {"vocab_size": 120, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 1},
        True,
    ),
    "modernbert": (
        "ModernBertConfig",
        COMMON | MIDDLE | {"global_attn_every_n_layers": 2, "local_attention": 8, "cls_token_id": 2, "sep_token_id": 3,
                           "bos_token_id": 2, "eos_token_id": 3},
        True,
    ),
    "deberta": (
        "DebertaV2Config", COMMON | MIDDLE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, False
    ),
    "llama": ("LlamaConfig", COMMON | MIDDLE | {"num_key_value_heads": 2}, True),
    "qwen2": ("Qwen2Config", COMMON | MIDDLE | {"num_key_value_heads": 2}, True),
    "qwen3": ("Qwen3Config", COMMON | MIDDLE | {"num_key_value_heads": 2, "head_dim": 8}, True),
    "mistral": ("MistralConfig", COMMON | MIDDLE | {"num_key_value_heads": 2, "sliding_window": 4}, True),
    "gemma2": ("Gemma2Config", COMMON | MIDDLE | {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}, True),
    "gpt2": ("GPT2Config", {"vocab_size": 120, "n_embd": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 1}, True),
    "t5": ("T5Config", {"vocab_size": 120, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
                        "pad_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 3}, False),
    "bart": ("BartConfig", {"vocab_size": 120, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
                            "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
                            "decoder_ffn_dim": 48, "pad_token_id": 1, "eos_token_id": 3, "bos_token_id": 2,
                            "decoder_start_token_id": 3}, False),
}  # fmt: skip


def build(family: str, folder: Path) -> Base:
    """Save a random model of the family with a word-level tokenizer into `folder`; returns it as a base."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    name, arguments, _ = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, name)(**arguments)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    vocabulary = {word: index for index, word in enumerate(["[UNK]", "[PAD]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        eos_token="[SEP]",
    ).save_pretrained(folder)  # fmt: skip
    return resolve(str(folder))


# Models that write, with a tokenizer over bytes, so that any text in any language has tokens.
WRITERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    name: (model, config, {**{k: v for k, v in sizes.items() if k != "pad_token_id"}, "vocab_size": 260, **more})
    for name, model, config, sizes, more in (
        ("llama", "LlamaForCausalLM", "LlamaConfig", FAMILIES["llama"][1],
         {"max_position_embeddings": 512, "tie_word_embeddings": True}),
        ("qwen2", "Qwen2ForCausalLM", "Qwen2Config", FAMILIES["qwen2"][1], {"max_position_embeddings": 512}),
        ("gpt2", "GPT2LMHeadModel", "GPT2Config", FAMILIES["gpt2"][1], {"n_positions": 512}),
        ("gemma2", "Gemma2ForCausalLM", "Gemma2Config", FAMILIES["gemma2"][1],
         {"final_logit_softcapping": 0.05, "max_position_embeddings": 512, "query_pre_attn_scalar": 8}),
        ("t5", "T5ForConditionalGeneration", "T5Config", FAMILIES["t5"][1], {"decoder_start_token_id": 257}),
        ("bart", "BartForConditionalGeneration", "BartConfig", FAMILIES["bart"][1],
         {"decoder_start_token_id": 257, "max_position_embeddings": 512, "forced_eos_token_id": None}),
    )
}  # fmt: skip


def build_writer(family: str, folder: Path, template: str = "") -> Base:
    """Save a random model of the family that writes, with a byte-level tokenizer; returns it as a base."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    model, name, arguments = WRITERS[family]
    torch.manual_seed(0)
    ends = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258}
    config = getattr(transformers, name)(**arguments | ends)
    getattr(transformers, model)(config).save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: index for index, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    if template:
        made.chat_template = template
    made.save_pretrained(folder)
    assert made.eos_token_id == 257 and len(made) == 260
    return resolve(str(folder))
