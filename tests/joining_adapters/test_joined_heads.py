"""Adapters of classifiers, whose head PEFT trains whole and looks for when it loads an adapter of such a task."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

Cli = Callable[..., Any]


def classifier() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(**sizes, vocab_size=40, max_position_embeddings=12))


@pytest.mark.parametrize("skip", [(), ("--skip", "*classifier*")])
def test_peft_loads_the_outcome_with_its_head_and_without(here: Path, cli: Cli, skip: tuple[str, ...]) -> None:
    classifier().save_pretrained(here / "base")
    for name in ("first", "second"):
        config = LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS", init_lora_weights=False)
        get_peft_model(classifier(), config).save_pretrained(here / name)
    result = cli("adapters", "first", "second", "-o", "both", *skip)
    assert result.code == 0, result.err
    assert json.loads((here / "both" / "adapter_config.json").read_text())["task_type"] == (None if skip else "SEQ_CLS")
    result = cli("passthrough", "base+both", "-o", "baked")
    assert result.code == 0, result.err
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*keys.*")
        merged = PeftModel.from_pretrained(classifier(), here / "both").merge_and_unload().state_dict()
    for name, tensor in load_file(here / "baked" / "model.safetensors").items():
        assert torch.allclose(tensor, merged[name], atol=1e-6), name
