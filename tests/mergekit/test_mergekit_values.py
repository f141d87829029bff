"""Which value of a parameter counts for which tensor: precedence, gradients, filters.

The base is 0 and the two models are (1, 0) and (0, 1) everywhere, so that task arithmetic writes the two weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, save

LAYERS = 5
PARTS = ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")
EMBED, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
NAMES = (EMBED, NORM, HEAD, *(f"model.layers.{layer}.{part}.weight" for layer in range(LAYERS) for part in PARTS))
SCALE = "merge_method: task_arithmetic\nbase_model: base.st\nmodels: [{model: a.st}]\n"


@pytest.fixture
def unit_models(here: Path) -> Path:
    for name, values in (("base", (0, 0)), ("a", (1, 0)), ("b", (0, 1))):
        save(here / f"{name}.st", {key: torch.tensor(values, dtype=torch.float64) for key in NAMES})
    return here


def weights(cli: Any, folder: Path, text: str, *more: str) -> dict[str, list[float]]:
    """Return the two weights of every tensor."""
    (folder / "recipe.yml").write_text(text)
    result = cli("run", "recipe.yml", "-o", "out.st", "--force", *more)
    assert result.code == 0, result.err
    return {name: tensor.tolist() for name, tensor in load(folder / "out.st").items()}


def of_a(cli: Any, folder: Path, value: str, *more: str) -> dict[str, float]:
    found = weights(cli, folder, SCALE + f"parameters: {{weight: {value}}}\n", *more)
    return {name: pair[0] for name, pair in found.items()}


def layers(found: dict[str, float], part: str = "mlp.up_proj") -> list[float]:
    return [found[f"model.layers.{layer}.{part}.weight"] for layer in range(LAYERS)]


def test_one_value(cli, unit_models):
    assert set(of_a(cli, unit_models, "0.3").values()) == {0.3}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[0, 1]", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("[1, 0.5, 0]", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("[0, 0.5, 0.3, 0.7, 1]", [0.0, 0.5, 0.3, 0.7, 1.0]),
        ("['1e-1', 0.5]", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("[0.25]", [0.25] * 5),
        ("[0.25, 0.25]", [0.25] * 5),
    ],
)
def test_gradients_run_over_the_layers_and_begin_before_them(cli, unit_models, value, expected):
    found = of_a(cli, unit_models, value)
    for part in PARTS:
        assert layers(found, part) == pytest.approx(expected)
    assert [found[name] for name in (EMBED, NORM, HEAD)] == pytest.approx([expected[0]] * 3)


def test_one_layer_is_the_last(cli, here):
    for name, value in (("base", 0.0), ("a", 1.0)):
        save(here / f"{name}.st", {key: torch.tensor([value]) for key in ("model.layers.0.mlp.weight", EMBED)})
    found = weights(cli, here, SCALE + "parameters: {weight: [0.25, 0.75]}\n")
    assert found == {"model.layers.0.mlp.weight": [0.75], EMBED: [0.25]}


def test_the_first_filter_that_fits_counts(cli, unit_models):
    found = of_a(cli, unit_models, "[{filter: up_proj, value: 0.1}, {filter: mlp, value: 0.2}, {value: 0.3}]")
    assert layers(found, "mlp.up_proj") == [0.1] * 5
    assert layers(found, "mlp.down_proj") == [0.2] * 5
    assert layers(found, "self_attn.q_proj") == [0.3] * 5
    assert found[HEAD] == 0.3


def test_a_narrow_filter_may_give_the_value_of_all_others(cli, unit_models):
    found = of_a(cli, unit_models, "[{filter: up_proj, value: 3}, {filter: mlp, value: 2}, {value: 3}]")
    assert layers(found, "mlp.up_proj") == [3] * 5
    assert layers(found, "mlp.down_proj") == [2] * 5
    assert found[HEAD] == 3


def test_what_follows_a_filter_for_all_is_never_reached(cli, unit_models):
    assert set(of_a(cli, unit_models, "[{filter: '*', value: 0.1}, {filter: mlp, value: 0.2}]").values()) == {0.1}


def test_a_filter_is_a_part_of_the_name_and_no_pattern(cli, unit_models):
    found = of_a(cli, unit_models, "[{filter: layers.3.mlp, value: 0.1}, {filter: 'm?p', value: 0.2}, {value: 0.3}]")
    assert layers(found) == [0.3, 0.3, 0.3, 0.1, 0.3]


def test_gradients_behind_filters(cli, unit_models):
    found = of_a(cli, unit_models, "[{filter: mlp, value: [1, 0]}, {filter: lm_head, value: [7, 8]}, {value: [2, 4]}]")
    assert layers(found) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert layers(found, "self_attn.q_proj") == [2.0, 2.5, 3.0, 3.5, 4.0]
    assert [found[name] for name in (EMBED, NORM, HEAD)] == [2.0, 2.0, 7.0]


def test_one_filter_without_a_list(cli, unit_models):
    text = SCALE.replace("a.st", "a.st, parameters: {weight: {filter: mlp, value: 0.5}}")
    found = weights(cli, unit_models, text + "parameters: {weight: 0.25}\n")
    assert found["model.layers.2.mlp.up_proj.weight"][0] == 0.5
    assert found[NORM][0] == 0.25


def test_a_model_goes_before_all_models_and_they_before_the_default(cli, unit_models):
    text = """\
merge_method: task_arithmetic
base_model: base.st
models:
  - model: a.st
    parameters:
      weight: [{filter: q_proj, value: [0.5, 1.5]}, {filter: norm, value: 9}]
  - model: b.st
parameters:
  weight: [{filter: mlp, value: [0, 4]}, {value: 0.25}]
  lambda: [{filter: up_proj, value: 10}]
"""
    found = weights(cli, unit_models, text)
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        assert found[start + "self_attn.q_proj.weight"] == [0.5 + layer / 4, 0.25]
        assert found[start + "mlp.up_proj.weight"] == [10 * layer, 10 * layer]
        assert found[start + "mlp.down_proj.weight"] == [layer, layer]
    assert (found[NORM], found[EMBED], found[HEAD]) == ([9.0, 0.25], [0.25, 0.25], [0.25, 0.25])


def test_filters_that_fit_together(cli, unit_models):
    """Two parameters with filters of their own: each combination that some tensor has is told apart."""
    text = SCALE + (
        "parameters:\n  weight: [{filter: mlp, value: 2}, {value: 3}]\n"
        "  lambda: [{filter: layers.1., value: 5}, {filter: up_proj, value: 7}, {value: 11}]\n"
    )
    found = {name: pair[0] for name, pair in weights(cli, unit_models, text).items()}
    assert layers(found, "mlp.up_proj") == [14, 10, 14, 14, 14]
    assert layers(found, "mlp.down_proj") == [22, 10, 22, 22, 22]
    assert layers(found, "self_attn.q_proj") == [33, 15, 33, 33, 33]
    assert found[HEAD] == 33


def test_switches_as_people_write_them(cli, unit_models):
    text = SCALE.replace("[{model: a.st}]", "[{model: a.st}, {model: b.st}]")
    for word in ("true", "True", "yes", "'on'", "1", "1.0"):
        found = weights(cli, unit_models, text + f"parameters: {{weight: 3, normalize: {word}}}\n")
        assert found[NORM] == [0.5, 0.5]
    for word in ("false", "no", "0"):
        assert weights(cli, unit_models, text + f"parameters: {{weight: 3, normalize: {word}}}\n")[NORM] == [3.0, 3.0]


def test_a_switch_behind_a_filter(cli, unit_models):
    text = SCALE + "parameters:\n  weight: 4\n  normalize: [{filter: mlp, value: true}]\n"
    found = weights(cli, unit_models, text)
    assert found["model.layers.0.mlp.up_proj.weight"][0] == 1
    assert found["model.layers.0.self_attn.q_proj.weight"][0] == 4


def test_overrides(cli, unit_models):
    assert set(of_a(cli, unit_models, "0.3", "--set", "parameters.weight=0.5").values()) == {0.5}
    assert set(of_a(cli, unit_models, "0.3", "--set", "models.0.parameters.weight=0.25").values()) == {0.25}


def test_empty_parameters(cli, unit_models):
    text = SCALE.replace("{model: a.st}", "{model: a.st, parameters: }")
    assert weights(cli, unit_models, text + "parameters: {weight: 2}\n")[NORM] == [2.0, 0.0]


@pytest.mark.parametrize(
    "value",
    [
        "0.25",
        "[0, 1, 3]",
        "[{filter: self_attn, value: [0, 1]}, {filter: up_proj, value: 0.5}, {value: [1, 0]}]",
        "[{filter: 'layers.1.', value: 2}, {filter: mlp, value: [0.1, 0.7]}, {value: 1}]",
        "[{filter: head, value: 1.5}, {filter: '*', value: 1e-3}]",
    ],
)
def test_printed_recipes_give_the_same_bytes(cli, unit_models, value):
    of_a(cli, unit_models, value)
    wanted = (unit_models / "out.st").read_bytes()
    printed = cli("run", "recipe.yml", "--print-recipe")
    (unit_models / "ours.yaml").write_text(printed.out)
    assert cli("run", "ours.yaml", "-o", "out.st", "--force").code == 0
    assert (unit_models / "out.st").read_bytes() == wanted
    assert cli("run", "ours.yaml", "--print-recipe").out == printed.out
