"""Tiny models of transformers, tuned everywhere or in places, and what PEFT makes of an adapter on their base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

State = dict[str, torch.Tensor]


def llama(**more: Any) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**(sizes | heads | {"tie_word_embeddings": False} | more)))


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=12, n_embd=16, n_layer=2, n_head=2))


def resnet() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=6, hidden_sizes=[6, 12], depths=[1, 1], layer_type="basic", num_labels=3)
    return ResNetForImageClassification(config)


def clip() -> nn.Module:
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {"vocab_size": 40, "max_position_embeddings": 8, "eos_token_id": 39, "bos_token_id": 38}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=small | {"image_size": 8, "patch_size": 4}))


def t5() -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    return T5ForConditionalGeneration(T5Config(**sizes))


def made(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Return a model whose weights are no constants, norms and biases included."""
    torch.manual_seed(seed)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def tuned(model: nn.Module, *, seed: int = 1, scale: float = 0.05, only: Callable[[str], bool] | None = None) -> None:
    """Change the parameters whose names fit, by matrices of full rank."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            change = scale * torch.randn(parameter.shape, generator=generator)
            if only is None or only(name):
                parameter += change.to(parameter.dtype)


def merged_by_peft(base: Path, adapter: Path, prepare: Callable[[Any], Any] = lambda model: None) -> nn.Module:
    """Return the model that PEFT makes of an adapter and its base; a key that it misses or knows not is an error."""
    import warnings

    import transformers
    from peft import PeftModel

    config = transformers.AutoConfig.from_pretrained(base)
    model = getattr(transformers, config.architectures[0]).from_pretrained(base)
    prepare(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing.*keys.*")
        warnings.filterwarnings("error", message=".*unexpected.*keys.*")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def assert_same(one: State, other: State, *, within: float = 2e-6) -> None:
    """Assert that two models hold the same numbers but for rounding, relative to each tensor's largest."""
    for name, tensor in one.items():
        if not tensor.is_floating_point():
            continue
        reach = float(tensor.abs().max()) or 1.0
        assert float((tensor - other[name]).abs().max()) <= within * reach, name
