"""Decoders: families of models that write text, layer upon layer of one kind or of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model_families.family import Family

_SIZES = {"vocab_size": 48, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
_GROUPED = {**_SIZES, "num_key_value_heads": 1, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
_HEADS = {**_GROUPED, "head_dim": 8}


def _maker(name: str, depth: str = "num_hidden_layers", **settings: Any) -> Callable[[int], Any]:
    """Return a maker of a causal language model whose configuration has this name."""

    def make(layers: int) -> Any:
        import transformers

        config = getattr(transformers, f"{name}Config")(**settings, **{depth: layers})
        return transformers.AutoModelForCausalLM.from_config(config)

    return make


def _every_other(settings: dict[str, Any]) -> Callable[[int], Any]:
    """Return a maker of Gemmas whose layers take turns in what they attend to."""

    def make(layers: int) -> Any:
        kinds = ["sliding_attention" if number % 2 == 0 else "full_attention" for number in range(layers)]
        return _maker("Gemma2", **settings, layer_types=kinds, sliding_window=4)(layers)

    return make


_EXPERTS = {**_HEADS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
_NEOX = {**_SIZES, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
_GPT2 = {"vocab_size": 48, "n_embd": 16, "n_head": 2, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2}

DECODERS = {
    "llama": Family(_maker("Llama", **_GROUPED)),
    "mistral": Family(_maker("Mistral", **_GROUPED, sliding_window=4)),
    "qwen2": Family(_maker("Qwen2", **_GROUPED, use_sliding_window=True, sliding_window=4, max_window_layers=2)),
    "qwen3": Family(_maker("Qwen3", **_HEADS)),
    "gemma": Family(_maker("Gemma", **_HEADS), tied=True),
    "gemma2": Family(_every_other(_HEADS), tied=True),
    "gemma3": Family(_maker("Gemma3Text", **_HEADS, sliding_window=4), tied=True),
    "phi": Family(_maker("Phi", **_NEOX)),
    "phi3": Family(_maker("Phi3", **_GROUPED, pad_token_id=0)),
    "gpt2": Family(_maker("GPT2", "n_layer", **_GPT2), tied=True),
    "gpt-neox": Family(_maker("GPTNeoX", **_NEOX)),
    "mixtral": Family(_maker("Mixtral", **_GROUPED, num_local_experts=4)),
    "qwen3-moe": Family(_maker("Qwen3Moe", **_EXPERTS, mlp_only_layers=[1])),
}
