"""Adapters that come with more tokens than their base: baked as PEFT bakes them, with config.json and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

Cli = Callable[..., Any]
ROWS = 43


def base_model(*, tied: bool) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=40,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def trained(folder: Path, **settings: object) -> dict[str, torch.Tensor]:
    """Let PEFT resize a base, train and save an adapter of it, and return what it bakes."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(ROWS)
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], **settings))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad or "embed_tokens" in name or "lm_head" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    adapted.save_pretrained(folder.parent / "adapter", save_embedding_layers=True)
    (folder.parent / "adapter" / "tokenizer_config.json").write_text('{"of": "the adapter"}')
    return {name: tensor.clone() for name, tensor in adapted.merge_and_unload().state_dict().items()}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("saved", [["embed_tokens", "lm_head"], None])
def test_more_tokens_are_baked_as_peft_bakes_them(here: Path, cli: Cli, tied: bool, saved: list[str] | None) -> None:
    from transformers import LlamaForCausalLM

    base_model(tied=tied).save_pretrained(here / "base")
    (here / "base" / "tokenizer_config.json").write_text('{"of": "the base"}')
    saved = saved[:1] if saved and tied else saved
    expected = trained(here / "base", modules_to_save=saved, ensure_weight_tying=bool(saved and tied))
    result = cli("passthrough", "base+adapter", "-o", "baked")
    assert result.code == 0, result.err
    assert f"{ROWS} rows of tokens in place of 40" in result.out
    found = LlamaForCausalLM.from_pretrained(here / "baked").state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=2e-6, atol=2e-7, msg=name)
    assert json.loads((here / "baked" / "config.json").read_text())["vocab_size"] == ROWS
    assert json.loads((here / "baked" / "tokenizer_config.json").read_text()) == {"of": "the adapter"}
    assert cli("verify", "baked").code == 0


def test_half_a_vocabulary_is_refused(here: Path, cli: Cli) -> None:
    base_model(tied=False).save_pretrained(here / "base")
    trained(here / "base", modules_to_save=["embed_tokens", "lm_head"])
    path = here / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if "lm_head" not in name}, path)
    result = cli("passthrough", "base+adapter", "-o", "baked")
    assert result.code == 1
    assert "embed_tokens.weight' has 43 rows with the adapter, and 'lm_head.weight' 40" in result.err
    assert not (here / "baked").exists()


def test_a_strength_and_another_tokenizer_are_refused(here: Path, cli: Cli) -> None:
    base_model(tied=False).save_pretrained(here / "base")
    trained(here / "base", modules_to_save=["embed_tokens", "lm_head"])
    assert "strength" in cli("passthrough", "base+adapter=0.5", "-o", "baked").err
    recipe = "merge_method: linear\nmodels:\n  - {model: base+adapter, parameters: {weight: 1}}\n"
    recipe += "  - {model: base, parameters: {weight: 1}}\ntokenizer: {source: union}\n"
    (here / "recipe.yaml").write_text(recipe)
    assert "another vocabulary" in cli("run", "recipe.yaml", "-o", "united").err
