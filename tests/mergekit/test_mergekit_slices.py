"""Slices of mergekit's recipes: which layers end up where, and which values count for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from layered_models import EMBED, HEAD, NORM, PARTS, layers_of, make_layered, merged

from merge.grammar import parse_recipe


@pytest.fixture(autouse=True)
def models(here: Path) -> Path:
    make_layered(here)
    return here


def source(model: str, first: int, last: int, parameters: str = "") -> str:
    own = f", parameters: {{{parameters}}}" if parameters else ""
    return f"{{model: {model}.st, layer_range: [{first}, {last}]{own}}}"


def slices(*listed: str, method: str = "passthrough", more: str = "") -> str:
    return f"merge_method: {method}\nslices:\n" + "".join(f"- {one}\n" for one in listed) + more


def of(*sources: str, more: str = "") -> str:
    return f"{{sources: [{', '.join(sources)}]{more}}}"


SUM = "parameters: {normalize: false, weight: 1}\n"


def test_layers_of_two_models_on_top_of_each_other(cli, models):
    found = merged(cli, models, slices(of(source("a", 0, 3)), of(source("deep", 2, 6))))
    for part in PARTS:
        assert layers_of(found, part) == [101, 102, 103, 403, 404, 405, 406]
    assert (found[EMBED], found[NORM], found[HEAD]) == (100, 450, 451)


def test_a_model_on_top_of_itself(cli, models):
    found = merged(cli, models, slices(of(source("a", 0, 3)), of(source("a", 1, 4))))
    assert layers_of(found) == [101, 102, 103, 102, 103, 104]


def test_different_layers_are_merged_with_each_other(cli, models):
    text = slices(
        of(source("a", 0, 1)), of(source("a", 1, 3), source("deep", 4, 6)), of(source("b", 3, 4)), method="linear"
    )
    found = merged(cli, models, text + SUM)
    assert layers_of(found) == [101, 102 + 405, 103 + 406, 204]
    assert (found[EMBED], found[NORM], found[HEAD]) == (100, 250, 251)


def test_one_model_twice_in_a_slice(cli, models):
    text = slices(of(source("a", 0, 2, "weight: 2"), source("a", 2, 4, "weight: 3")), method="linear") + SUM
    found = merged(cli, models, text)
    assert layers_of(found) == [2 * 101 + 3 * 103, 2 * 102 + 3 * 104]
    assert found[HEAD] == 5 * 151
    assert "a model may stand twice in a slice" in cli("run", "old.yml", "-o", "new.st", "--dry-run").out


def test_what_follows_the_layers_is_merged_from_all_of_the_last_slice(cli, models):
    text = slices(of(source("a", 0, 2)), of(source("a", 2, 4), source("b", 2, 4)), method="linear") + SUM
    found = merged(cli, models, text)
    assert (found[EMBED], found[NORM], found[HEAD]) == (100, 150 + 250, 151 + 251)
    assert "from all models of the last slice" in cli("run", "old.yml", "-o", "new.st", "--dry-run").out


def test_source_before_slice_before_all(cli, models):
    text = (
        slices(
            of(source("a", 0, 1, "weight: 2"), source("b", 0, 1), more=", parameters: {weight: 3}"),
            of(source("a", 1, 2, "weight: {filter: mlp, value: 5}"), source("b", 1, 2)),
            method="linear",
        )
        + "parameters: {normalize: false, weight: [{filter: o_proj, value: 7}, {value: 11}]}\n"
    )
    found = merged(cli, models, text)
    assert layers_of(found, PARTS[0]) == [2 * 101 + 3 * 201, 7 * (102 + 202)]
    assert layers_of(found, PARTS[1]) == [2 * 101 + 3 * 201, 5 * 102 + 11 * 202]
    assert (found[EMBED], found[HEAD]) == (2 * 100 + 3 * 200, 11 * (151 + 251))


def test_shared_parameters_of_a_slice(cli, models):
    both = (source("a", 0, 1), source("b", 0, 1))
    text = slices(of(*both, more=", parameters: {normalize: true}"), of(*both), method="linear") + SUM
    assert layers_of(merged(cli, models, text)) == [(101 + 201) / 2, 101 + 201]


def test_gradients_run_over_the_slice(cli, models):
    text = slices(
        of(source("a", 0, 3, "weight: [0, 1]")),
        of(source("deep", 1, 6, "weight: [1, 3]")),
        of(source("b", 0, 1, "weight: [5, 7]")),
        method="linear",
    )
    found = merged(cli, models, text + "parameters: {normalize: false}\n")
    assert layers_of(found) == [0, 51, 103, 402, 1.5 * 403, 2 * 404, 2.5 * 405, 3 * 406, 7 * 201]
    assert (found[EMBED], found[HEAD]) == (0, 5 * 251)


def test_filters_with_numbers_meet_the_layers_own_numbers(cli, models):
    """Models' parameters go by the names in the models, those for all by the names in the output."""
    text = slices(
        of(source("a", 1, 3, "weight: [{filter: layers.2., value: 2}, {value: 1}]")),
        of(
            source(
                "deep", 3, 6, "weight: [{filter: layers.4., value: 3}, {filter: layers.5.mlp, value: 5}, {value: 1}]"
            )
        ),
        method="linear",
        more="parameters: {normalize: [{filter: layers.0., value: true}, {value: false}]}\n",
    )
    found = merged(cli, models, text)
    assert layers_of(found) == [102, 2 * 103, 404, 3 * 405, 5 * 406]
    assert layers_of(found, PARTS[0]) == [102, 2 * 103, 404, 3 * 405, 406]


def test_one_slice_of_whole_models_is_a_merge_of_whole_models(models):
    both = (source("a", 0, 4), source("b", 0, 4))
    recipe = parse_recipe(slices(of(*both), method="linear") + SUM, "old.yml")
    assert recipe.merge.method == "soup"
    assert [model.model for model in recipe.merge.models] == ["a.st", "b.st"]


def test_a_slice_of_fewer_layers_is_none(models):
    recipe = parse_recipe(slices(of(source("a", 0, 3))), "old.yml")
    assert (recipe.merge.method, recipe.merge.models[0].options) == ("stack", {"layer_range": "0:3"})


def test_one_projection_of_repeated_layers_is_silenced(cli, models):
    scale = "scale: [{filter: o_proj, value: 0}, {filter: down_proj, value: 0}, {value: 1}]"
    found = merged(cli, models, slices(of(source("a", 0, 3)), of(source("a", 2, 4, scale))))
    assert layers_of(found) == [101, 102, 103, 0, 0]
    assert found[HEAD] == 151


def test_the_base_is_a_source_with_layers_of_its_own(cli, models):
    text = slices(
        of(source("a", 0, 2), source("b", 0, 2)),
        of(source("c", 2, 4), source("deep", 0, 2), more=", base_model: deep.st"),
        method="task_arithmetic",
        more="base_model: a.st\nparameters: {weight: 0.5}\n",
    )
    found = merged(cli, models, text)
    assert layers_of(found) == [151, 152, (303 + 401) / 2, (304 + 402) / 2]
    assert (found[EMBED], found[HEAD]) == (150, (351 + 451) / 2)


def test_the_base_may_be_other_layers_of_the_same_model(cli, models):
    both = of(source("a", 0, 2), source("a", 2, 4))
    text = slices(both, method="task_arithmetic", more="base_model: a.st\nparameters: {weight: 0.5}\n")
    assert layers_of(merged(cli, models, text)) == [102, 103]


def test_the_base_of_a_stack_gives_nothing_but_what_lies_beside_it(cli, models):
    text = slices(of(source("a", 0, 2)), of(source("b", 2, 4))) + "base_model: c.st\n"
    found = merged(cli, models, text)
    assert layers_of(found) == [101, 102, 203, 204]
    assert parse_recipe(text, "old.yml").merge.base.model == "c.st"


def test_slerp_begins_at_the_base(cli, models):
    both = of(source("a", 0, 2), source("b", 2, 4))
    for base, expected in (("a", [101, 102]), ("b", [203, 204])):
        text = slices(both, method="slerp", more=f"base_model: {base}.st\nparameters: {{t: 0}}\n")
        assert layers_of(merged(cli, models, text)) == pytest.approx(expected)


def test_switches_change_over_the_layers(cli, models):
    """The entry of a list is int(t (n - 1)), t running from 0 to 1: of three, the last for t = 1 alone."""
    members = "models: [{model: a.st}, {model: b.st}]\n"
    for words in ("[false, true, false]", "['no', 'yes', 0]", "[{filter: layers, value: [0, 1, 0]}, {value: false}]"):
        found = merged(cli, models, f"merge_method: linear\n{members}parameters: {{weight: 1, normalize: {words}}}\n")
        assert layers_of(found) == [101 + 201, 102 + 202, (103 + 203) / 2, 104 + 204]
        assert found[HEAD] == 151 + 251


def test_whole_numbers_change_over_the_layers(cli, models):
    members = "models: [{model: a.st}, {model: b.st}]\n"
    text = f"merge_method: karcher\n{members}parameters: {{max_iter: [0, 6]}}\n"
    merged(cli, models, text)
    rules = parse_recipe(text, "old.yml").merge.layers
    assert sorted(rule.options["max_iter"] for rule in rules) == [2, 4, 6]


@pytest.mark.parametrize("extra", ["residual_weight: 0.5", "residual_weight: null"])
def test_residual_weight_changes_nothing(cli, models, extra):
    found = merged(cli, models, slices(of(source("a", 0, 2), more=f", {extra}")))
    assert layers_of(found) == [101, 102]
    told = "as in mergekit: 'residual_weight' changes nothing" in cli("run", "old.yml", "-o", "new.st").out
    assert told is ("0.5" in extra)


def test_a_filter_that_fits_in_one_slice_is_not_idle(cli, models):
    more = "parameters: {scale: [{filter: layers.0., value: 2}, {filter: layers.9., value: 3}, {value: 1}]}\n"
    found = merged(cli, models, slices(of(source("a", 0, 2)), of(source("b", 0, 2)), more=more))
    assert layers_of(found) == [202, 102, 402, 202]  # numbers in the models
    told = cli("run", "old.yml", "-o", "new.st", "--dry-run").out
    assert "the filter 'layers.9.' (old.yml:5:" in told
    assert "layers.0." not in told
