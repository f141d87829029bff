"""What a stack changes in config.json, for the ways in which architectures state their layers."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import save


def write(folder, stacks, config):
    """Write a checkpoint with these stacks, by prefix the number of layers, and a config.json."""
    names = [f"{prefix}.{layer}.weight" for prefix, count in stacks.items() for layer in range(count)]
    save(folder / "model.safetensors", {name: torch.ones(2) for name in (*names, "norm.weight")})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def config_of(cli, tmp_path, ranges, *flags, models=("a", "b")):
    places = [tmp_path / name for name in models]
    result = cli("stack", *places, "--layer-ranges", ranges, *flags, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    return json.loads((tmp_path / "out" / "config.json").read_text()), result.err


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth"])
def test_the_number_of_layers_goes_by_many_names(cli, tmp_path, key):
    for name in "ab":
        write(tmp_path / name, {"model.layers": 4}, {key: 4, "hidden_size": 4, "num_attention_heads": 4})
    found, _ = config_of(cli, tmp_path, "0:3,1:4")
    assert found == {key: 6, "hidden_size": 4, "num_attention_heads": 4}


def test_lists_by_layer_follow_the_layers_of_their_own_model(cli, tmp_path):
    lists = {"eos_token_id": [7, 8, 9], "layer_types": ["full", "sliding", "full"], "mlp_only_layers": [0, 2]}
    write(tmp_path / "a", {"layers": 3}, {"num_hidden_layers": 3, **lists})
    other = {"layer_types": ["other-0", "other-1"], "mlp_only_layers": [1]}
    write(tmp_path / "b", {"layers": 2}, {"num_hidden_layers": 2, **other})
    found, _ = config_of(cli, tmp_path, "1:3,0:2")
    assert found["layer_types"] == ["sliding", "full", "other-0", "other-1"]
    assert found["mlp_only_layers"] == [1, 3]
    assert found["num_hidden_layers"] == 4
    assert found["eos_token_id"] == [7, 8, 9]  # as long, and not about layers


def test_only_the_tower_that_is_stacked_gets_deeper(cli, tmp_path):
    """Both towers have as many layers; names tell which is which."""
    config = {"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 2}}
    stacks = {"model.language_model.layers": 2, "model.vision_tower.encoder.layers": 2}
    for name in "ab":
        write(tmp_path / name, stacks, config)
    found, _ = config_of(cli, tmp_path, "0:2,1:2", "--stack", "model.language_model.layers")
    assert found == {"text_config": {"num_hidden_layers": 3}, "vision_config": {"num_hidden_layers": 2}}


def test_the_image_tower_of_a_model_with_nested_configs(cli, tmp_path):
    config = {"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 2, "depth": 2}}
    stacks = {"text_model.encoder.layers": 2, "vision_model.encoder.layers": 2}
    for name in "ab":
        write(tmp_path / name, stacks, config)
    found, _ = config_of(cli, tmp_path, "0:2,0:2", "--stack", "vision_model.encoder.layers")
    assert found["vision_config"] == {"num_hidden_layers": 4, "depth": 4}
    assert found["text_config"] == {"num_hidden_layers": 2}


def test_halves_of_an_encoder_decoder(cli, tmp_path):
    for name in "ab":
        write(tmp_path / name, {"encoder.layers": 2, "decoder.layers": 2}, {"encoder_layers": 2, "decoder_layers": 2})
    found, _ = config_of(cli, tmp_path, "0:2,1:2", "--stack", "encoder.layers")
    assert found == {"encoder_layers": 3, "decoder_layers": 2}


def test_a_config_without_the_number_is_a_warning(cli, tmp_path):
    for name in "ab":
        write(tmp_path / name, {"layers": 2}, {"hidden_size": 2, "vocab_size": 8})
    found, warned = config_of(cli, tmp_path, "0:2,1:2")
    assert found == {"hidden_size": 2, "vocab_size": 8}
    assert "does not state the 2 layers" in warned


def test_the_same_layers_change_nothing(cli, tmp_path):
    write(tmp_path / "a", {"layers": 2}, {"num_hidden_layers": 2, "two": [1, 2]})
    before = (tmp_path / "a" / "config.json").read_bytes()
    config_of(cli, tmp_path, "0:2", models=("a",))
    assert (tmp_path / "out" / "config.json").read_bytes() == before


def test_numbers_of_unlike_modules_are_no_layers(cli, tmp_path):
    """A projector's modules 0 and 2 say nothing of a tower that is 3 layers deep."""
    for name in "ab":
        config = {"num_hidden_layers": 2, "vision_config": {"depth": 3}}
        write(tmp_path / name, {"model.layers": 2, "visual.blocks": 3}, config)
    state = {f"visual.merger.mlp.{number}.weight": torch.ones(2) for number in (0, 2)}
    save(tmp_path / "p" / "model.safetensors", state)
    result = cli("join", tmp_path / "p", tmp_path / "a", "--matches", "visual.merger.*,*", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    text = "merge: join\nbase: a\nmodels: [p, {merge: stack, models: [a, b], options: {stack: model.layers}}]\n"
    (tmp_path / "recipe.yaml").write_text(text)
    result = cli("run", tmp_path / "recipe.yaml", "-o", tmp_path / "deep")
    assert result.code == 0, result.err
    config = json.loads((tmp_path / "deep" / "config.json").read_text())
    assert config == {"num_hidden_layers": 4, "vision_config": {"depth": 3}}
