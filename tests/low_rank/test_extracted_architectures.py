"""Models that PEFT treats in ways of its own: classifiers, tied layers with a bias, weights computed from others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import nn
from tuned_models import assert_same, made, merged_by_peft, tuned

Cli = Callable[..., Any]
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**SIZES, max_position_embeddings=12))


def distilbert() -> nn.Module:
    """Has a layer whose name ends in that of the head."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    sizes = {"vocab_size": 40, "dim": 16, "hidden_dim": 24, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 12}
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes))


def modernbert() -> nn.Module:
    """Has an output layer whose weight is the embedding's and whose bias is its own."""
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    return ModernBertForMaskedLM(ModernBertConfig(**SIZES, **tokens))


def wav2vec2() -> nn.Module:
    """Has a convolution whose weight is computed from a direction and a length."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    convolutions = {"conv_dim": (8, 8), "conv_kernel": (3, 3), "conv_stride": (2, 2), "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return Wav2Vec2ForCTC(Wav2Vec2Config(**SIZES, **convolutions, **positions))


def mamba() -> nn.Module:
    """Has layers that PEFT refuses to adapt."""
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, state_size=4))


def mixture() -> nn.Module:
    """Has experts that are one parameter in the network and many tensors on the disk."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    experts = {"num_experts": 3, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
    return Qwen2MoeForCausalLM(Qwen2MoeConfig(**SIZES, **experts, num_key_value_heads=2, num_experts_per_tok=1))


def saved_pair(here: Path, make: Callable[[], nn.Module]) -> nn.Module:
    model = made(make)
    model.save_pretrained(here / "base")
    tuned(model)
    model.save_pretrained(here / "tuned")
    return model


@pytest.mark.parametrize("make", [bert, distilbert, modernbert, wav2vec2, mamba])
def test_peft_makes_the_tuned_model_of_it(here: Path, cli: Cli, make: Callable[[], nn.Module]) -> None:
    model = saved_pair(here, make)
    result = cli("extract-lora", "tuned", "--base", "base", "--energy", 1, "--whole", "auto", "-o", "out", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["left"] == []
    assert_same(merged_by_peft(here / "base", here / "out").state_dict(), model.state_dict())
    result = cli("passthrough", "base+out", "-o", "baked")
    assert result.code == 0, result.err
    assert_same(load_file(here / "tuned" / "model.safetensors"), load_file(here / "baked" / "model.safetensors"))


def test_a_head_with_factors_is_loaded(here: Path, cli: Cli) -> None:
    saved_pair(here, bert)
    assert cli("extract-lora", "tuned", "--base", "base", "--rank", 2, "-o", "out").code == 0
    assert cli("passthrough", "base+out", "-o", "baked").code == 0
    ours = load_file(here / "baked" / "model.safetensors")
    assert_same(ours, merged_by_peft(here / "base", here / "out").state_dict())


def test_experts_that_the_network_holds_together_come_with_a_warning(here: Path, cli: Cli) -> None:
    saved_pair(here, mixture)
    line = ("extract-lora", "tuned", "--base", "base", "--energy", 1, "--whole", "auto", "-o")
    result = cli(*line, "out")
    assert result.code == 0, result.err
    assert "holds 9 layers, such as 'model.layers.0.mlp.experts.0.down_proj', as one parameter" in result.err
    assert cli("passthrough", "base+out", "-o", "baked").code == 0
    assert_same(load_file(here / "tuned" / "model.safetensors"), load_file(here / "baked" / "model.safetensors"))
    result = cli(*line, "without", "--skip", "*.experts.*")
    assert "as one parameter" not in result.err
