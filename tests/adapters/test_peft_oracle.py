"""`BASE+ADAPTER` equals the model that PEFT's own `merge_and_unload` gives, rounded once, for what PEFT trains.

Networks of transformers in float32 and bfloat16 are given an adapter by PEFT, whose factors are then set to random
values, saved by PEFT, and merged by PEFT in float64: that is what is wanted. Scales of LoHa are such that float32,
in which PEFT holds them, has them exactly.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State
from made_adapters import assert_rounded
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

import merge


def llama() -> Any:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_bias=True,
        )
    )


def gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=12))


def vit() -> Any:
    settings = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=8, patch_size=4
    )
    return ViTForImageClassification(settings)


MAKERS = {"llama": llama, "gpt2": gpt2, "vit": vit}
ATTENTION = ["q_proj", "v_proj"]
CASES: dict[str, tuple[str, Any]] = {
    "linear": ("llama", LoraConfig(r=4, lora_alpha=6, target_modules=[*ATTENTION, "o_proj", "down_proj"])),
    "all linear": ("llama", LoraConfig(r=2, lora_alpha=3, target_modules="all-linear")),
    "a pattern": ("llama", LoraConfig(r=2, target_modules=r".*layers\.1\..*(q|up)_proj")),
    "one layer": ("llama", LoraConfig(r=2, target_modules=ATTENTION, layers_to_transform=[1])),
    "rslora": ("llama", LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=ATTENTION)),
    "dora": ("llama", LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=[*ATTENTION, "o_proj"])),
    "ranks and alphas": (
        "llama",
        LoraConfig(
            r=4,
            lora_alpha=6,
            target_modules=[*ATTENTION, "o_proj"],
            rank_pattern={"q_proj": 2, r"layers\.1\.self_attn\.v_proj": 3},
            alpha_pattern={"o_proj": 5, "0.self_attn.q_proj": 1},
        ),
    ),
    "biases": ("llama", LoraConfig(r=2, lora_alpha=3, bias="all", target_modules=ATTENTION)),
    "biases of factors": ("llama", LoraConfig(r=2, lora_alpha=3, lora_bias=True, target_modules=ATTENTION)),
    "embeddings": ("llama", LoraConfig(r=2, lora_alpha=3, target_modules=["embed_tokens", "q_proj"])),
    "embeddings with dora": ("llama", LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=["embed_tokens"])),
    "a head": ("llama", LoraConfig(r=2, target_modules=["lm_head", "q_proj"])),
    "modules trained whole": ("llama", LoraConfig(r=2, target_modules=ATTENTION, modules_to_save=["lm_head", "norm"])),
    "tokens": ("llama", LoraConfig(r=2, target_modules=ATTENTION, trainable_token_indices=[1, 7, 39])),
    "conv1d of gpt2": ("gpt2", LoraConfig(r=4, lora_alpha=6, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    "conv1d with dora": (
        "gpt2",
        LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    ),
    "a convolution": (
        "vit",
        LoraConfig(r=2, lora_alpha=3, target_modules=["projection"], modules_to_save=["classifier"]),
    ),
    "a convolution with dora": ("vit", LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=["projection"])),
    "loha": ("llama", LoHaConfig(r=4, alpha=5, target_modules=[*ATTENTION, "down_proj"])),
    "loha of a convolution": ("vit", LoHaConfig(r=2, alpha=5, target_modules=["projection"])),
    "loha of a convolution with cores": (
        "vit",
        LoHaConfig(r=2, alpha=5, target_modules=["projection"], use_effective_conv2d=True),
    ),
    "loha of several ranks": (
        "llama",
        LoHaConfig(r=4, alpha=5, target_modules=ATTENTION, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 1}),
    ),
    "lokr": ("llama", LoKrConfig(r=2, alpha=5, target_modules=[*ATTENTION, "down_proj"])),
    "lokr of whole matrices": ("llama", LoKrConfig(r=16, alpha=5, target_modules=ATTENTION)),
    "lokr of two pairs": ("llama", LoKrConfig(r=1, alpha=5, decompose_both=True, target_modules=ATTENTION)),
    "lokr with a factor": ("llama", LoKrConfig(r=1, alpha=5, decompose_factor=2, target_modules=ATTENTION)),
    "lokr of a convolution": ("vit", LoKrConfig(r=1, alpha=5, target_modules=["projection"])),
    "lokr of a convolution with cores": (
        "vit",
        LoKrConfig(r=1, alpha=5, target_modules=["projection"], use_effective_conv2d=True),
    ),
}


def train(adapted: Any) -> None:
    """Set everything that PEFT would train to random values."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            values = 0.3 * torch.randn(parameter.shape, generator=generator)
            parameter.data = (values.abs() + 0.1 if "magnitude" in name else values).to(parameter.dtype)


def written(folder: Path, case: str, dtype: torch.dtype) -> tuple[str, State]:
    """Write a base and its adapter; return their location and what PEFT makes of the two in float64."""
    kind, config = CASES[case]
    torch.manual_seed(1)
    base = MAKERS[kind]().to(dtype)
    base.save_pretrained(folder / "base")
    exact = copy.deepcopy(base).double()
    adapted = get_peft_model(base, copy.deepcopy(config), autocast_adapter_dtype=True)
    train(adapted)
    adapted.save_pretrained(folder / "adapter")
    wanted = PeftModel.from_pretrained(exact, folder / "adapter", autocast_adapter_dtype=False)
    for parameter in wanted.parameters():
        parameter.data = parameter.data.double()
    return f"{folder / 'base'}+{folder / 'adapter'}", wanted.merge_and_unload().state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_baking_is_what_peft_merges(tmp_path: Path, case: str, dtype: torch.dtype) -> None:
    location, wanted = written(tmp_path, case, dtype)
    source, before = merge.load(location), merge.load(str(tmp_path / "base"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, source[name])}
    assert changed
    names = merge_names(source, wanted)
    for name, tensor in source.items():
        assert tensor.dtype == dtype
        assert_rounded(tensor, wanted[names[name]].double())


def merge_names(found: State, wanted: State) -> dict[str, str]:
    """Return what transformers calls the tensors when it has loaded them, where it has other names by now."""
    if found.keys() <= wanted.keys():
        return {name: name for name in found}
    pairs = {}
    for name, tensor in found.items():
        same = [other for other, value in wanted.items() if other not in pairs.values() and value.shape == tensor.shape]
        pairs[name] = min(same, key=lambda other, tensor=tensor: float((wanted[other] - tensor).abs().max()))
    return pairs
