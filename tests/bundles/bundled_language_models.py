"""Experts of a vocabulary of 60 tokens, and their mixtures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "evaluation"))  # whose models these are

from tiny_language_models import SIZES, make_gpt2, make_llama

TOKENS = torch.randint(8, 60, (2, 6), generator=torch.Generator().manual_seed(5))


def gpt2(seed: int, vocab_size: int | None = None) -> Any:
    """A GPT-2 whose output layer is its input embeddings."""
    model = make_gpt2(seed=seed)
    if vocab_size is not None:
        model.resize_token_embeddings(vocab_size)
    return model


def llama(seed: int, **changes: Any) -> Any:
    return make_llama(seed, **changes)


def mistral(seed: int, **changes: Any) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    settings = {**SIZES, "vocab_size": 60, "max_position_embeddings": 32, "num_key_value_heads": 1}
    return MistralForCausalLM(MistralConfig(**(settings | changes), initializer_range=0.5)).eval()


def mixture(*experts: Any, how: Any = None, vocabulary: Any = None) -> Any:
    from merge.bundles.mixture import LogitMixtureForCausalLM

    return LogitMixtureForCausalLM.from_experts(experts, how, vocabulary)
