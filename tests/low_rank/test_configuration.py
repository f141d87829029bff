"""adapter_config.json names exactly the modules that have factors, by PEFT's own rules."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from merge.adapters.low_rank.configuration import render_config, shortened, task_type, task_with_head

NAMES = [
    "model.layers.0.attn.q.weight",
    "model.layers.0.attn.q.bias",
    "model.layers.0.mlp.up.weight",
    "model.layers.1.attn.q.weight",
    "model.layers.1.mlp.up.weight",
    "head.0.weight",
    "head.10.weight",
    "layers.0.mlp.up.weight",
]
MODULES = sorted({name.rpartition(".")[0] for name in NAMES})
CONTAINERS = ["model", "model.layers", "model.layers.0", "model.layers.0.attn", "head"]


def taken(targets: list[str] | str) -> list[str]:
    """Return the modules that PEFT takes, containers among them."""
    names = [*MODULES, *CONTAINERS]
    if isinstance(targets, str):
        return sorted(name for name in names if re.fullmatch(targets, name))
    return sorted(name for name in names if any(name == one or name.endswith(f".{one}") for one in targets))


@pytest.mark.parametrize(
    ("modules", "shown"),
    [
        (["model.layers.0.attn.q", "model.layers.1.attn.q"], ["q"]),
        (["model.layers.1.attn.q"], ["model.layers.1.attn.q"]),
        (["head.0"], ["head.0"]),
        (["head.0", "head.10"], ["head.0", "head.10"]),
        (["layers.0.mlp.up"], "layers\\.0\\.mlp\\.up"),
        ([name for name in MODULES if name.endswith("up")], ["up"]),
        (MODULES, None),
    ],
)
def test_targets_are_short_and_exact(modules: list[str], shown: list[str] | str | None) -> None:
    found = shortened(modules, NAMES)
    assert taken(found) == sorted(modules)
    assert shown is None or found == shown


def test_patterns_find_their_own_modules() -> None:
    ranks = {"layers.0.mlp.up": 3, "model.layers.0.mlp.up": 5, "model.layers.1.mlp.up": 8, "head.0": 8}
    config = json.loads(render_config("base", ranks, {}, targets=["up"]))
    for name, rank in ranks.items():
        for key in ("rank_pattern", "alpha_pattern"):
            first = next((one for one in config[key] if re.match(rf"(.*\.)?({one})$", name)), None)
            assert config[key].get(first, config["r"]) == rank


@pytest.mark.parametrize(
    ("architecture", "more", "wanted"),
    [
        ("LlamaForCausalLM", {}, "CAUSAL_LM"),
        ("GPT2LMHeadModel", {}, "CAUSAL_LM"),
        ("BertForSequenceClassification", {}, None),
        ("T5ForConditionalGeneration", {"is_encoder_decoder": True}, "SEQ_2_SEQ_LM"),
        ("LlavaForConditionalGeneration", {}, None),
        ("CLIPModel", {}, None),
        (None, {}, None),
    ],
)
def test_task(architecture: str | None, more: dict[str, Any], wanted: str | None) -> None:
    assert task_type({"architectures": [architecture] if architecture else None} | more) == wanted


@pytest.mark.parametrize(
    ("task", "whole", "wanted"),
    [
        ("SEQ_CLS", ["score.weight"], "SEQ_CLS"),
        ("TOKEN_CLS", ["classifier.out.weight"], "TOKEN_CLS"),
        ("SEQ_CLS", ["norm.weight"], None),
        ("QUESTION_ANS", ["score.weight"], None),
        ("CAUSAL_LM", [], "CAUSAL_LM"),
        (None, [], None),
    ],
)
def test_a_task_is_kept_where_peft_finds_the_head_that_it_looks_for(task: Any, whole: list[str], wanted: Any) -> None:
    assert task_with_head(task, whole) == wanted
