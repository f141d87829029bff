"""Layers of several models on top of each other: which tensor comes from where, and what merges within a stack see."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused

WIDTH = 4
INNER = ("input_layernorm.weight", "self_attn.q_proj.weight", "mlp.down_proj.weight")


def value(model: int, layer: int, place: int) -> torch.Tensor:
    """Return a tensor that says where it comes from."""
    shape = (WIDTH,) if place == 0 else (WIDTH, WIDTH)
    return torch.full(shape, 100.0 * model + 10 * layer + place) + torch.arange(WIDTH)


def llama(model: int, layers: int) -> dict[str, torch.Tensor]:
    state = {
        f"model.layers.{n}.{name}": value(model, n, place) for n in range(layers) for place, name in enumerate(INNER)
    }
    outside = {"model.embed_tokens.weight": 7, "model.norm.weight": 8, "lm_head.weight": 9}
    return state | {name: torch.full((3, WIDTH), 100.0 * model + place) for name, place in outside.items()}


@pytest.fixture
def models(tmp_path):
    """Three models, a and b of four layers, c of two, each with a config.json."""
    for number, (name, layers) in enumerate({"a": 4, "b": 4, "c": 2}.items(), start=1):
        save(tmp_path / name / "model.safetensors", llama(number, layers))
        kinds = [f"{name}{layer}" for layer in range(layers)]
        config = {"num_hidden_layers": layers, "layer_types": kinds, "hidden_size": WIDTH}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return tmp_path


def merged(cli, folder, text):
    (folder / "recipe.yaml").write_text(text)
    result = cli("run", folder / "recipe.yaml", "-o", folder / "out", "--force")
    assert result.code == 0, result.err
    return load(folder / "out")


def test_layers_follow_each_other(models, cli):
    found = merged(
        cli,
        models,
        """
        merge: stack
        models:
          - {model: a, layer_range: "0:3"}
          - {model: b, layer_range: "1:4"}
        """,
    )
    origins = [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    for layer, (model, origin) in enumerate(origins):
        for place, name in enumerate(INNER):
            assert torch.equal(found.pop(f"model.layers.{layer}.{name}"), value(model, origin, place))
    assert found.keys() == {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert found["model.embed_tokens.weight"][0, 0] == 107  # of the first model
    assert found["model.norm.weight"][0, 0] == 208  # of the last
    assert found["lm_head.weight"][0, 0] == 209
    config = json.loads((models / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == 6
    assert config["layer_types"] == ["a0", "a1", "a2", "b1", "b2", "b3"]


def test_the_command_stacks_too(models, cli):
    result = cli("stack", models / "a", models / "c", "--layer-ranges", ":2,1:", "-o", models / "out")
    assert result.code == 0, result.err
    assert sum("q_proj" in name for name in load(models / "out")) == 3


def test_layers_are_left_out_of_one_model(models, cli):
    found = merged(cli, models, 'merge: stack\nmodels: [{model: a, layer_range: "1:3"}]\n')
    assert torch.equal(found["model.layers.0.mlp.down_proj.weight"], value(1, 1, 2))
    assert sum("q_proj" in name for name in found) == 2


PAIRED = """
    merge: stack
    models:
      - {model: a, layer_range: "0:1"}
      - model:
          merge: soup
          models:
            - {model: {merge: stack, models: [{model: a, layer_range: "2:4"}]}, weight: 0.5}
            - {model: {merge: stack, models: [{model: c, layer_range: "0:2"}]}, weight: 0.5}
          layers:
            - {match: "model.layers.*", models: [{weight: [1.0, 0.0]}, {weight: [0.0, 1.0]}]}
"""


def test_different_layers_are_merged_and_depth_counts_within_the_part(models, cli):
    """The first of the two merged layers is all of a's layer 2, the second all of c's layer 1."""
    found = merged(cli, models, PAIRED)
    assert torch.equal(found["model.layers.0.mlp.down_proj.weight"], value(1, 0, 2))
    assert torch.equal(found["model.layers.1.mlp.down_proj.weight"], value(1, 2, 2))
    assert torch.equal(found["model.layers.2.mlp.down_proj.weight"], value(3, 1, 2))
    assert found["lm_head.weight"][0, 0] == (109 + 309) / 2  # what follows the layers is the last part's merge
    assert found["model.embed_tokens.weight"][0, 0] == 107


def test_layers_of_a_merge_are_cut_from_it(models, cli):
    """Rules within count in the merge's own layers."""
    found = merged(
        cli,
        models,
        """
        merge: stack
        models:
          - model: a
          - model:
              merge: soup
              models: [a, b]
              layers: [{match: "*.layers.3.*", models: [{weight: 0}, {weight: 1}]}]
            layer_range: "2:4"
        """,
    )
    assert torch.equal(found["model.layers.4.mlp.down_proj.weight"], (value(1, 2, 2) + value(2, 2, 2)) / 2)
    assert torch.equal(found["model.layers.5.mlp.down_proj.weight"], value(2, 3, 2))


def test_a_stack_is_merged_like_a_model(models, cli):
    found = merged(
        cli,
        models,
        """
        merge: soup
        models:
          - a
          - merge: stack
            models: [{model: c}, {model: b, layer_range: "2:"}]
        """,
    )
    assert torch.equal(found["model.layers.1.mlp.down_proj.weight"], (value(1, 1, 2) + value(3, 1, 2)) / 2)
    assert torch.equal(found["model.layers.3.mlp.down_proj.weight"], (value(1, 3, 2) + value(2, 3, 2)) / 2)
    assert json.loads((models / "out" / "config.json").read_text())["num_hidden_layers"] == 4


def test_the_base_lends_its_config_only(models, cli):
    found = merged(cli, models, "merge: stack\nbase: c\nmodels: [a, b]\n")
    assert sum("q_proj" in name for name in found) == 8
    config = json.loads((models / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == 8
    assert config["layer_types"] == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


def test_every_tensor_is_accounted_for_and_read_once(models, cli):
    (models / "recipe.yaml").write_text(PAIRED)
    plan = json.loads(cli("run", models / "recipe.yaml", "-o", models / "out", "--dry-run", "--json").out)
    taken = {(location.split(" (")[0], name) for row in plan["tensors"] for location, name in row["from"].items()}
    skipped = {(skip["model"], skip["tensor"]) for skip in plan["skipped"]}
    every = {(name, tensor) for name in "ac" for tensor in load(models / name)}
    assert taken | skipped == every
    assert not taken & skipped
    assert plan["bytes_read"] == sum(tensor.nbytes for name in "ac" for tensor in load(models / name).values())


def test_the_result_can_be_verified_and_depends_on_its_inputs(models, cli):
    merged(cli, models, PAIRED)
    assert cli("verify", models / "out").code == 0
    state = load(models / "c")
    state["model.layers.1.mlp.down_proj.weight"][0, 0] += 1
    save(models / "c" / "model.safetensors", state)
    result = cli("verify", models / "out")
    assert result.code == 1
    assert "(layers" not in result.err + result.out  # the model is named, not a part of it


def test_content_ids_are_those_of_the_whole_models(models, cli):
    """A model has the same id whether parts of it are stacked or it is merged whole."""
    (models / "recipe.yaml").write_text(PAIRED)
    stacked = json.loads(cli("run", models / "recipe.yaml", "-o", models / "one", "--json").out)
    whole = json.loads(cli("soup", models / "a", models / "b", "-o", models / "two", "--json").out)
    ids = {entry["model"].split("/")[-1]: entry["content_id"] for entry in (*stacked["inputs"], *whole["inputs"])}
    assert [e["content_id"] for e in stacked["inputs"] if e["model"] == "a"] == [ids["a"]]


def test_encoders_and_decoders_are_told_apart(tmp_path, cli):
    names = [f"{half}.block.{n}.layer.0.weight" for half in ("encoder", "decoder") for n in range(2)]
    state = {name: torch.full((2, 2), float(number)) for number, name in enumerate((*names, "shared.weight"))}
    save(tmp_path / "t5" / "model.safetensors", state)
    (tmp_path / "t5" / "config.json").write_text('{"num_layers": 2, "num_decoder_layers": 2}')
    result = cli("stack", tmp_path / "t5", "-o", tmp_path / "out")
    assert_refused(result, 2, "encoder.block", "decoder.block", "--stack")
    flags = ("--stack", "decoder.block", "--layer-ranges", "0:2,1:2")
    result = cli("stack", tmp_path / "t5", tmp_path / "t5", *flags, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert "given more than once" not in result.err
    found = load(tmp_path / "out")
    assert torch.equal(found["decoder.block.2.layer.0.weight"], state["decoder.block.1.layer.0.weight"])
    assert sum(name.startswith("encoder") for name in found) == 2
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {"num_layers": 2, "num_decoder_layers": 3}


@pytest.mark.parametrize(
    ("models_text", "words"),
    [
        ('[{model: a, layer_range: "2:6"}]', ("recipe.yaml:2:21", "has 4", "ends at 4")),
        ('[{model: a, layer_range: "3:2"}]', ("recipe.yaml:2:21", "3:2 is empty")),
        ('[{model: a, layer_range: "2:2"}]', ("is empty",)),
        ('[{model: a, layer_range: "-2:"}]', ("FIRST:LAST", "-2:")),
        (f'[{{model: a, layer_range: "0:{"9" * 5000}"}}]', ("FIRST:LAST",)),
        ("[{model: a, layer_range: [0, 2]}]", ("recipe.yaml:2:21", "no list", "first:last")),
        ("[{model: a, layer_rang: x}]", ("layer_rang", "layer_range")),
        ("[{model: {merge: soup, models: [a, c]}}]", ("not in all models",)),
        ("[{model: {merge: soup, models: [c, a]}}]", ("which the base or first model lacks",)),
        ("[{model: a}, {model: wide}]", ("width", "wide")),
        ("[{model: a}, {model: other}]", ("one architecture", "other")),
        ("[{model: flat}]", ("no layers", "flat")),
    ],
)
def test_what_cannot_be_stacked_is_refused(models, cli, models_text, words):
    wide = {name: torch.zeros(*(2 * n if n == WIDTH else n for n in t.shape)) for name, t in llama(1, 2).items()}
    save(models / "wide" / "model.safetensors", wide)
    save(models / "other" / "model.safetensors", {"model.layers.0.mixer.weight": torch.zeros(2)})
    save(models / "flat" / "model.safetensors", {"weight": torch.zeros(2)})
    (models / "recipe.yaml").write_text(f"merge: stack\nmodels: {models_text}\n")
    result = cli("run", models / "recipe.yaml", "-o", models / "out")
    assert_refused(result, result.code, *words)
    assert result.code in (1, 2)
    assert not (models / "out").exists()


def test_a_merge_of_unlike_depths_says_what_is_unlike(models, cli):
    (models / "recipe.yaml").write_text("merge: soup\nmodels: [a, {merge: stack, models: [c, b]}]\n")
    assert_refused(cli("run", models / "recipe.yaml", "-o", models / "out"), 1, "nested stack", "same layers")


def test_layer_rules_belong_to_nested_merges(models, cli):
    text = "merge: stack\nmodels: [a, b]\nlayers: [{match: '*mlp*', keep: base}]\n"
    (models / "recipe.yaml").write_text(text)
    assert_refused(cli("run", models / "recipe.yaml", "-o", models / "out"), 2, "recipe.yaml:3", "nested")


def test_methods_that_learn_are_refused_within(models, cli):
    fisher = "{merge: fisher, models: [{model: a, fisher: f.st}, {model: b, fisher: f.st}]}"
    save(models / "f.st", {name: tensor.float() for name, tensor in llama(1, 4).items()}, {"kind": "fisher"})
    (models / "recipe.yaml").write_text(f"merge: stack\nmodels: [{{model: {fisher}}}]\n")
    assert_refused(cli("run", models / "recipe.yaml", "-o", models / "out"), 2, "fisher", "stacks or joins")


def tied(state):
    return {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}


@pytest.mark.parametrize("order", ["tied first", "tied last", "all tied"])
def test_the_head_is_the_last_models_and_config_says_whether_it_is_tied(tmp_path, cli, order):
    for number, name in enumerate("ab", start=1):
        is_tied = order == "all tied" or (order == "tied first") is (name == "a")
        state = tied(llama(number, 2)) if is_tied else llama(number, 2)
        save(tmp_path / name / "model.safetensors", state)
        config = {"num_hidden_layers": 2, "tie_word_embeddings": is_tied, "architectures": ["LlamaForCausalLM"]}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert cli("stack", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out").code == 0
    found, config = load(tmp_path / "out"), json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] is (order == "all tied")
    assert found["model.embed_tokens.weight"][0, 0] == 107
    if order == "all tied":
        assert "lm_head.weight" not in found
    else:
        assert found["lm_head.weight"][0, 0] == (209 if order == "tied first" else 207)
    assert cli("verify", tmp_path / "out").code == 0


def test_what_all_layers_of_t5_share_stays_in_the_first(tmp_path, cli):
    names = [f"decoder.block.{n}.layer.0.q.weight" for n in range(3)]
    bias = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    save(tmp_path / "t5.st", {name: torch.full((2, 2), float(number)) for number, name in enumerate((*names, bias))})
    ranges = ("--layer-ranges", "1:3,0:2")
    assert cli("stack", tmp_path / "t5.st", tmp_path / "t5.st", *ranges, "-o", tmp_path / "out.st").code == 0
    found = load(tmp_path / "out.st")
    assert sorted(found) == sorted([*(f"decoder.block.{n}.layer.0.q.weight" for n in range(4)), bias])
    assert [float(found[f"decoder.block.{n}.layer.0.q.weight"][0, 0]) for n in range(4)] == [1, 2, 0, 1]
