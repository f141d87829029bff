"""The models that the recipes of `agreement_recipes.py` merge: small, in float32, of kinds that mergekit knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from agreement_recipe_vocabularies import VOCABULARIES, Vocabulary

SPREAD = 0.02  # of the task vectors, which is the spread of the base's weights too
_SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}


def write_models(folder: Path) -> None:
    """Write all models, those with a vocabulary with their tokenizer beside them."""
    for seed, name in enumerate(("base", "a", "b", "c")):
        _write(folder / name, lambda: llama(64, 4), seed)
    _write(folder / "deep", lambda: llama(64, 6), 4)
    for kind, make in {"e": _encoder_decoder, "v": _vision_language}.items():
        for seed, name in enumerate("ab", 5):
            _write(folder / f"{kind}-{name}", make, seed)
    for seed, (name, vocabulary) in enumerate(VOCABULARIES.items(), 10):
        _write_with_tokenizer(folder / name, vocabulary, seed)


def llama(rows: int, layers: int, **more: Any) -> Any:
    """Return a Llama with a head of its own unless ``tie_word_embeddings`` is asked for."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(vocab_size=rows, num_hidden_layers=layers, **_SIZES, **more))


def _write_with_tokenizer(folder: Path, vocabulary: Vocabulary, seed: int) -> None:
    tokenizer = vocabulary.tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(folder, lambda: llama(len(tokenizer), 2, tie_word_embeddings=vocabulary.tied, **ids), seed)
    tokenizer.save_pretrained(folder)


def _write(folder: Path, make: Callable[[], Any], seed: int) -> None:
    """Write the model that ``make`` returns, moved away from its beginning by a task vector unless the seed is 0."""
    torch.manual_seed(0)
    model = make()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters() if seed else ():
        parameter.data += SPREAD * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)


def _encoder_decoder() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_heads": 4, "num_layers": 3, "num_decoder_layers": 4}
    kind = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(vocab_size=64, **sizes, **kind))


def _vision_language() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rotary = {"rope_type": "default", "mrope_section": [1, 1, 2]}
    text = {"vocab_size": 64, "num_hidden_layers": 4, "rope_parameters": rotary, **_SIZES}
    sizes = {"depth": 3, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 48}
    vision = {"patch_size": 4, "fullatt_block_indexes": [1], **sizes}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision))
