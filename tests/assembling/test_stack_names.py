"""Stacks of models whose tensors are not called the same, or that do not have the same ones."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused

WIDTH = 4


def state(seed, depth=2, prefix="model.", head=True):
    generator = torch.Generator().manual_seed(seed)
    names = ["embed_tokens.weight", *(f"layers.{number}.mlp.weight" for number in range(depth)), "norm.weight"]
    found = {f"{prefix}{name}": torch.randn(WIDTH, WIDTH, generator=generator) for name in names}
    return found | ({"lm_head.weight": torch.randn(WIDTH, WIDTH, generator=generator)} if head else {})


@pytest.fixture
def models(tmp_path):
    def write(name, tensors, tied=False):
        save(tmp_path / name / "model.safetensors", tensors)
        config = {"num_hidden_layers": 2, "tie_word_embeddings": tied}
        (tmp_path / name / "config.json").write_text(json.dumps(config))

    write("a", state(0))
    write("b", state(1))
    write("bare", state(2, prefix="", head=False))
    write("tied", state(3, head=False), tied=True)
    return tmp_path


def run(models, cli, text, *flags):
    (models / "recipe.yaml").write_text(text)
    result = cli("run", models / "recipe.yaml", "-o", models / "out", *flags)
    assert result.code == 0, result.err
    assert cli("verify", models / "out").code == 0
    return load(models / "out")


def test_a_stack_that_is_only_the_base_is_stacked(models, cli):
    save(models / "deep" / "model.safetensors", state(4, depth=4))
    text = "merge: task-arithmetic\nbase: {merge: stack, models: [a, b]}\nmodels: [deep]\noptions: {scale: 0.5}\n"
    found = run(models, cli, text)
    assert len(found) == 7
    expected = (state(1)["model.layers.1.mlp.weight"] + state(4, depth=4)["model.layers.3.mlp.weight"]) / 2
    assert torch.allclose(found["model.layers.3.mlp.weight"], expected)


def test_what_follows_the_layers_is_called_as_in_the_first_model(models, cli):
    found = run(models, cli, "merge: stack\nmodels: [bare, {model: a, layer_range: '1:'}]\n")
    assert torch.equal(found["norm.weight"], state(0)["model.norm.weight"])
    assert torch.equal(found["layers.2.mlp.weight"], state(0)["model.layers.1.mlp.weight"])
    assert found.keys() == {f"layers.{number}.mlp.weight" for number in range(3)} | {
        "embed_tokens.weight",
        "norm.weight",
        "lm_head.weight",
    }


def test_nested_outcomes_may_lack_a_prefix(models, cli):
    text = """
merge: soup
models:
  - {model: {merge: stack, models: [{model: tied, layer_range: "0:1"}]}}
  - {model: {merge: stack, models: [{model: bare, layer_range: "1:2"}]}}
"""
    found = run(models, cli, text)
    expected = (state(3)["model.layers.0.mlp.weight"] + state(2, prefix="")["layers.1.mlp.weight"]) / 2
    assert torch.allclose(found["model.layers.0.mlp.weight"], expected)


def test_a_nested_outcome_that_ties_its_head_gives_it_twice(models, cli):
    text = "merge: stack\nmodels: [{model: {merge: soup, models: [a, {merge: soup, models: [tied, tied]}]}}, b]\n"
    found = run(models, cli, text.replace(", b]", "]"))
    own, twin = state(0), state(3)["model.embed_tokens.weight"]
    assert torch.allclose(found["lm_head.weight"], (own["lm_head.weight"] + twin) / 2)
    assert torch.allclose(found["model.embed_tokens.weight"], (own["model.embed_tokens.weight"] + twin) / 2)


def test_buffers_that_one_model_saves_are_left_out(models, cli):
    buffers = {f"model.layers.{number}.rotary_emb.inv_freq": torch.ones(2) for number in range(2)}
    save(models / "b" / "model.safetensors", state(1) | buffers)
    nested = "{model: {merge: soup, models: [a, {merge: join, models: [b]}]}}"
    text = f"merge: stack\nmodels: [{{model: {{merge: soup, models: [a, b]}}}}, {nested}]\n"
    assert not any("inv_freq" in name for name in run(models, cli, text))
    assert run(models, cli, "merge: stack\nmodels: [a, b]\n", "--force").keys() >= state(0).keys()


@pytest.mark.parametrize("nested", ["b", "{merge: join, models: [b]}"])
@pytest.mark.parametrize("policy", ["skip", "base"])
def test_missing_tensors_follow_the_policy_within_parts(models, cli, nested, policy):
    changed = state(1) | {"model.layers.0.extra.weight": torch.ones(2)}
    del changed["model.layers.1.mlp.weight"]
    save(models / "b" / "model.safetensors", changed)
    text = f"merge: stack\nmodels: [{{model: {{merge: soup, models: [a, {nested}]}}}}]\n"
    found = run(models, cli, text, "--missing", policy)
    left_out = {"model.layers.1.mlp.weight"} if policy == "skip" else set()
    assert found.keys() == state(0).keys() - left_out
    if policy == "base":
        assert torch.equal(found["model.layers.1.mlp.weight"], state(0)["model.layers.1.mlp.weight"])
    refused = cli("run", models / "recipe.yaml", "-o", models / "other")
    assert_refused(refused, 1, "model.layers.0.extra.weight", "recipe.yaml:2", "--missing skip")


def test_a_last_model_without_a_head_is_refused(models, cli):
    (models / "recipe.yaml").write_text("merge: stack\nmodels: [a, bare]\n")
    result = cli("run", models / "recipe.yaml", "-o", models / "out")
    assert_refused(result, 2, "recipe.yaml:2:13", "bare has no 'lm_head.weight'")


def test_layers_of_another_architecture_are_refused(models, cli):
    more = {f"model.layers.{number}.q_norm.weight": torch.ones(WIDTH) for number in range(2)}
    save(models / "b" / "model.safetensors", state(1) | more)
    (models / "recipe.yaml").write_text("merge: stack\nmodels: [a, b]\n")
    result = cli("run", models / "recipe.yaml", "-o", models / "out")
    assert_refused(result, 2, "recipe.yaml:2:13", "'q_norm.weight'", "one architecture")
