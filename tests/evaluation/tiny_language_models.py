"""Tiny language models with a tokenizer each, which the tests of this folder make on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDE.,!?:é\n0123456789"
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "[MASK]", "[CLS]", "[SEP]")
SIZES = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_tokenizer(**roles: str) -> Any:
    """A tokenizer of letters and a few words; the roles (``bos_token`` and so on) default to those of a Llama."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    words = dict.fromkeys([*SPECIAL, *LETTERS, "yes", "no", "cat", "dog"])
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex(r"yes|no|cat|dog|[\s\S]"), "isolated")
    tokenizer.decoder = Fuse()
    roles = roles or {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **roles)


def vocabulary_size() -> int:
    return len(make_tokenizer())


def save(model: Any, folder: Path, tokenizer: Any = None) -> Path:
    model.eval().save_pretrained(folder)
    (tokenizer or make_tokenizer()).save_pretrained(folder)
    return folder


def make_llama(seed: int = 0, **changes: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    settings = {**SIZES, "vocab_size": vocabulary_size(), "max_position_embeddings": 32, "initializer_range": 0.5}
    return LlamaForCausalLM(LlamaConfig(**(settings | changes))).eval()


def make_gpt2(architecture: str = "GPT2LMHeadModel", seed: int = 0, **changes: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    settings = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": vocabulary_size()}
    config = transformers.GPT2Config(**settings, initializer_range=0.5, bos_token_id=2, eos_token_id=2, **changes)
    return getattr(transformers, architecture)(config).eval()


def make_bert(architecture: str = "BertForMaskedLM", seed: int = 0, **changes: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    settings = {**SIZES, "vocab_size": vocabulary_size(), "max_position_embeddings": 24, "initializer_range": 0.5}
    return getattr(transformers, architecture)(transformers.BertConfig(**(settings | changes))).eval()


def bert_tokenizer() -> Any:
    from tokenizers.processors import TemplateProcessing

    roles = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "<pad>"}
    tokenizer = make_tokenizer(**roles)
    special = [(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", pair, special)
    return tokenizer


def make_t5(seed: int = 0) -> Any:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(seed)
    settings = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(**settings, vocab_size=vocabulary_size())).eval()
