"""Modules of mergekit's recipes: vision towers, decoders, encoders, each merged in its own way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from layered_models import merged, tensor_of

from merge.mergekit.module_names import find_module, module_patterns, rest_of

SEEING = {
    "language_model.model.embed_tokens.weight": 1,
    **{f"language_model.model.layers.{layer}.mlp.weight": 10 + layer for layer in range(3)},
    "language_model.lm_head.weight": 2,
    **{f"vision_tower.vision_model.encoder.layers.{layer}.mlp.weight": 20 + layer for layer in range(2)},
    "vision_tower.vision_model.post_layernorm.weight": 3,
    "multi_modal_projector.linear_1.weight": 4,
}
HALVES = {
    "shared.weight": 1,
    **{f"{half}.block.{layer}.w": 10 + layer for half in ("encoder", "decoder") for layer in range(2)},
    "encoder.final_layer_norm.weight": 2,
    "decoder.final_layer_norm.weight": 3,
}
WATCHING = (
    "model.embed_tokens.weight",
    "model.layers.0.w",
    "model.layers.1.w",
    "visual.patch_embed.proj.weight",
    "visual.blocks.0.w",
    "visual.blocks.1.w",
    "visual.merger.ln_q.weight",
    "visual.merger.mlp.0.weight",
    "visual.merger.mlp.2.weight",
    "lm_head.weight",
)


@pytest.fixture
def models(here: Path) -> Path:
    for kind, values in (("seeing", SEEING), ("halves", HALVES)):
        for factor, name in ((1, "a"), (100, "b")):
            save(here / f"{kind}-{name}.st", {key: tensor_of(factor * value) for key, value in values.items()})
    return here


def names_in(names, module):
    patterns = module_patterns(names)
    others = {name: pattern for name, pattern in patterns.items() if name != module}
    own = {module: patterns[module]}
    outside = set(rest_of(own, names))
    assert others
    return [name for name in names if name not in outside]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (SEEING, {"text_decoder": 5, "vision_tower": 3, "multi_modal_projector": 1}),
        (SEEING, {"language_model.model.layers": 3, "vision_tower.vision_model.encoder.layers": 2, "default": 4}),
        (HALVES, {"encoder": 3, "decoder": 3, "shared": 1}),
        (HALVES, {"encoder.block": 2, "decoder.block": 2, "default": 3}),
        (WATCHING, {"text_decoder": 4, "vision_tower": 3, "multi_modal_projector": 3}),
        (WATCHING, {"model.layers": 2, "visual.blocks": 2, "default": 6}),
    ],
)
def test_modules_are_found_by_the_names_of_tensors(names, expected):
    listed = list(names)
    found = [names_in(listed, module) for module in expected]
    assert list(map(len, found)) == list(expected.values())
    assert sorted(name for own in found for name in own) == sorted(listed)


def test_a_model_of_one_stack_is_one_module():
    assert module_patterns(["embed.weight", "h.0.w", "h.1.w", "ln_f.weight"]) == {"default": "*"}


def test_towers_of_two_kinds_without_a_decoder_go_by_their_layers():
    names = ["text_model.encoder.layers.0.w", "vision_model.encoder.layers.0.w", "logit_scale"]
    assert list(module_patterns(names)) == ["text_model.encoder.layers", "vision_model.encoder.layers", "default"]


def test_names_in_memory_mean_names_in_files():
    known = list(module_patterns(SEEING))
    assert find_module("model.language_model.layers", known) == "language_model.model.layers"
    assert find_module("model.vision_tower.encoder.layers", known) == "vision_tower.vision_model.encoder.layers"
    assert find_module("vision", known) is None


def test_each_module_is_merged_in_its_own_way(cli, models):
    text = """\
merge_method: linear
parameters: {normalize: false, weight: 1}
modules:
  text_decoder:
    parameters: {weight: [2, 4]}
    models:
    - {model: seeing-a.st}
    - {model: seeing-b.st, parameters: {weight: [{filter: layers.1., value: 0}]}}
  vision_tower:
    models: [{model: seeing-b.st}]
  multi_modal_projector:
    models: [{model: seeing-a.st}, {model: seeing-b.st, parameters: {weight: 5}}]
"""
    found = merged(cli, models, text)
    for layer, (one, other) in enumerate(((2, 2), (3, 0), (4, 4))):
        value = 10 + layer
        assert found[f"language_model.model.layers.{layer}.mlp.weight"] == one * value + 100 * other * value
    assert found["language_model.lm_head.weight"] == 2 * 2 + 2 * 200
    assert found["vision_tower.vision_model.encoder.layers.1.mlp.weight"] == 2100
    assert found["multi_modal_projector.linear_1.weight"] == 4 + 5 * 400


def test_what_is_not_listed_is_the_bases(cli, models):
    text = (
        "merge_method: slerp\nbase_model: seeing-a.st\nparameters: {t: 1}\n"
        "modules: {vision_tower: {models: [{model: seeing-b.st}]}}\n"
    )
    found = merged(cli, models, text)
    assert found["vision_tower.vision_model.post_layernorm.weight"] == pytest.approx(300)
    assert found["language_model.model.layers.2.mlp.weight"] == 12
    told = cli("run", "old.yml", "-o", "new.st", "--dry-run").out
    assert "unlike mergekit: tensors of no module that is listed" in told


def test_slices_of_one_module(cli, models):
    text = """\
merge_method: passthrough
modules:
  encoder: {models: [{model: halves-a.st}]}
  decoder:
    slices:
    - sources: [{model: halves-a.st, layer_range: [0, 2]}]
    - sources: [{model: halves-b.st, layer_range: [1, 2]}]
  shared: {models: [{model: halves-b.st}]}
"""
    found = merged(cli, models, text)
    assert [found[f"decoder.block.{layer}.w"] for layer in range(3)] == [10, 11, 1100]
    assert [found[f"encoder.block.{layer}.w"] for layer in range(2)] == [10, 11]
    assert (found["decoder.final_layer_norm.weight"], found["shared.weight"]) == (300, 100)


def test_whole_models_of_several_modules_need_no_modules(cli, models):
    text = "merge_method: linear\nmodels: [{model: seeing-a.st}, {model: seeing-b.st}]\nparameters: {weight: [0, 1]}\n"
    (models / "old.yml").write_text(text + "base_model: seeing-a.st\n")
    assert cli("run", "old.yml", "-o", "out.st").code == 2  # weights that sum to 0 outside the layers
    found = merged(cli, models, text.replace("[0, 1]}", "[0, 1], normalize: false}"))
    depths = [found[f"vision_tower.vision_model.encoder.layers.{layer}.mlp.weight"] for layer in range(2)]
    assert depths == [0, 21 + 2100]
    assert found["language_model.model.layers.1.mlp.weight"] == (11 + 1100) / 2


def test_one_module_that_is_all(cli, models):
    torch.manual_seed(0)
    for name in ("one", "two"):
        save(models / f"{name}.st", {"w": torch.randn(3)})
    merged(cli, models, "merge_method: karcher\nmodules: {default: {models: [{model: one.st}, {model: two.st}]}}\n")
    whole = load(models / "out.st")["w"]
    merged(cli, models, "merge_method: karcher\nmodels: [{model: one.st}, {model: two.st}]\n")
    assert torch.equal(load(models / "out.st")["w"], whole)
