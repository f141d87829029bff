"""Recipes: nesting, layers, depth, overrides, paths. Every expectation is worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import assert_same, load, save
from command_line import ROOT, assert_refused
from in_memory import merge_states
from made_statistics import statistics_of

from merge.bundles.rules import rule_names
from merge.recipe import parse_size

LAYERS = 5


def model(value: float) -> dict[str, torch.Tensor]:
    names = [f"layers.{n}.{part}" for n in range(LAYERS) for part in ("mlp.w", "norm.w")] + ["embed.w", "lm_head.w"]
    return {name: torch.full((10,), value) for name in names}


VALUES = {"base": 1.0, "a": 3.0, "b": 7.0, "c": -2.0}


@pytest.fixture
def work(here: Path) -> Path:
    for name, value in VALUES.items():
        save(here / f"{name}.st", model(value))
    return here


@pytest.fixture
def recipe(work: Path, cli):
    """Run a recipe's text and return the value of every tensor, all of whose elements are equal."""

    def merge(text: str, *flags: str):
        (work / "recipe.yaml").write_text(text)
        result = cli("run", "recipe.yaml", "-o", "out.st", "--force", *flags)
        assert result.code == 0, result.err
        found = load(work / "out.st")
        assert all((tensor == tensor[0]).all() for tensor in found.values())
        return {name: round(tensor[0].item(), 5) for name, tensor in found.items()}

    return merge


SOUP = "merge: soup\nmodels: [a.st, b.st]\n"
TASK = "merge: task-arithmetic\nbase: base.st\nmodels: [a.st]\n"


def test_plain(recipe):
    assert set(recipe(SOUP).values()) == {5.0}
    assert set(recipe("merge: soup\nmodels: [{model: a.st, weight: 0.25}, {model: b.st, weight: 0.75}]").values()) == {
        6.0
    }
    assert set(recipe(SOUP + "options: {normalize: true}").values()) == {5.0}


def test_the_output_is_named_as_it_was_typed(work, cli, tmp_path_factory):
    (work / "recipe.yaml").write_text(SOUP)
    assert "\nwrote runs/out (12 merge)" in "\n" + cli("run", "recipe.yaml", "-o", "runs/out").out
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "out.st"
    assert f"\nwrote {elsewhere} (12 merge)" in "\n" + cli("run", "recipe.yaml", "-o", elsewhere).out


def test_a_weight_that_is_given_to_one_model_only(recipe):
    assert set(recipe("merge: soup\nmodels: [{model: a.st, weight: 2}, b.st]").values()) == {9.5}


def test_a_soup_inside_ties(recipe):
    text = """
    merge: ties
    base: base.st
    models:
      - {merge: soup, models: [a.st, b.st]}      # 5, a task vector of 4
      - model: c.st                              # a task vector of -3
        weight: 2                                # 4 - 6 < 0: minus wins, -6 / 2
    options: {density: 1.0}
    """
    assert set(recipe(text).values()) == {-2.0}


def test_ties_inside_a_soup(recipe):
    text = """
    merge: soup
    models:
      - a.st
      - model: {merge: ties, base: base.st, models: [b.st, c.st], options: {density: 1.0}}   # 6 - 3 > 0: 1 + 6
        weight: 1
    """
    assert set(recipe(text).values()) == {0.5 * 3 + 7}


def test_ties_inside_task_arithmetic_takes_the_enclosing_base(recipe):
    text = """
    merge: task-arithmetic
    base: base.st
    models:
      - {merge: ties, models: [b.st, c.st], options: {density: 1.0}}
      - a.st
    options: {scale: 0.5}
    """
    assert set(recipe(text).values()) == {1 + 0.5 * (6 + 2)}


def test_three_deep_equals_one_after_the_other(work, recipe, cli):
    """Nested, without temporary files, gives what two steps give that lose nothing in between."""
    generator = torch.Generator().manual_seed(3)
    for name in VALUES:
        save(work / f"{name}.st", {"w": torch.randn(70_000, generator=generator, dtype=torch.float64)})
    inner = "{merge: ties, base: base.st, models: [a.st, b.st], options: {density: 0.3}}"
    (work / "nested.yaml").write_text(f"merge: soup\nmodels: [{inner}, c.st]\noutput: nested.st\n")
    assert cli("run", "nested.yaml").code == 0
    assert cli("ties", "a.st", "b.st", "--base", "base.st", "--density", "0.3", "-o", "step.st").code == 0
    assert cli("soup", "step.st", "c.st", "-o", "steps.st").code == 0
    assert_same(load(work / "nested.st"), load(work / "steps.st"))


def test_ties_ranks_the_outcome_of_what_is_nested_in_it():
    generator = torch.Generator().manual_seed(4)
    base, one, two = ({"w": torch.randn(70_000, generator=generator)} for _ in range(3))
    from merge.recipe import Merge, Model

    nested = Merge("task-arithmetic", (Model(one), Model(two)), Model(base))
    wanted = merge_states("ties", [merge_states("task-arithmetic", [one, two], base, dtype="F64")], base, density=0.1)
    found = merge_states("ties", [nested], base, density=0.1)
    torch.testing.assert_close(found["w"], wanted["w"], rtol=1e-6, atol=1e-6)
    assert ((found["w"] - base["w"]).abs() > 1e-4).sum() == 7000


def test_the_first_layer_rule_that_matches_wins(recipe):
    found = recipe(
        TASK + "layers:\n"
        "  - {match: 'layers.0.*', options: {scale: 2}}\n"
        "  - {match: '/mlp/', options: {scale: 3}}\n"
        "  - {match: 'layers.*', keep: base}\n"
        "options: {scale: 0.5}\n"
    )
    assert found["layers.0.mlp.w"] == found["layers.0.norm.w"] == 5
    assert found["layers.1.mlp.w"] == 7
    assert found["layers.1.norm.w"] == 1
    assert found["embed.w"] == found["lm_head.w"] == 2


def test_a_list_is_a_course_over_depth(recipe):
    found = recipe(TASK + "layers:\n  - {match: 'layers.*', options: {scale: [0, 1]}}\n")
    assert [found[f"layers.{n}.mlp.w"] for n in range(LAYERS)] == [1, 1.5, 2, 2.5, 3]
    found = recipe(TASK + "layers:\n  - {match: 'layers.*', options: {scale: [0, 1, 0]}}\n")
    assert [found[f"layers.{n}.norm.w"] for n in range(LAYERS)] == [1, 2, 3, 2, 1]
    assert found["embed.w"] == 3


def test_a_list_of_weights_over_depth(recipe):
    text = "merge: task-arithmetic\nbase: base.st\nmodels: [{model: a.st, weight: [0, 2]}]\n"
    rules = "layers: [{match: 'layers.*'}, {match: '*', keep: base}]\n"
    found = recipe(text + rules)
    assert [found[f"layers.{n}.mlp.w"] for n in range(LAYERS)] == [1, 2, 3, 4, 5]
    assert found["embed.w"] == 1


def test_depth_of_a_tensor_outside_every_stack_is_refused(work, cli):
    (work / "recipe.yaml").write_text(TASK + "options: {scale: [0, 1]}\n")
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, "scale", "in no stack")


def test_then(recipe):
    assert set(recipe(TASK + "then:\n  - task-arithmetic: {scale: 0.5}\n  - task-arithmetic\n").values()) == {2.0}


def test_set_overrides(recipe):
    assert set(recipe(TASK, "--set", "options.scale=0.5").values()) == {2.0}
    assert set(recipe(TASK + "options: {scale: 4}", "--set", "options.scale=0.5").values()) == {2.0}
    assert set(recipe(SOUP, "--set", "models.0=c.st").values()) == {2.5}
    text = "merge: soup\nmodels: [{model: a.st, weight: 1}, {model: b.st, weight: 1}]\n"
    assert set(recipe(text, "--set", "models.1.weight=0").values()) == {3.0}


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("options.scale", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("optoins.scale=1", "optoins"),
        ("options.scael=1", "scael"),
        ("models.7=x", "'7'"),
        ("models.x=1", "'x'"),
        ("models.²=1", "'²'"),
        ("models.-1=x", "'-1'"),
        ("base.merge=soup", "models"),
        ("base.x=1", "base"),
        ("merge.x=1", "'x'"),
        ("options.scale=[", "YAML"),
        ("models=3", "list"),
        ("output.pth=x", "pth"),
    ],
)
def test_bad_overrides(work, cli, setting, word):
    (work / "recipe.yaml").write_text(TASK)
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st", "--set", setting), 2, word)


def test_a_mapping_made_by_an_override_is_checked_too(work, cli):
    (work / "recipe.yaml").write_text(SOUP)
    refused = cli("run", "recipe.yaml", "-o", "out.st", "--set", "base.merge=soup")
    assert_refused(refused, 2, "recipe.yaml", "'models' is missing")


def test_paths_count_from_the_recipe_and_flags_from_here(work, cli):
    (work / "sub").mkdir()
    (work / "sub" / "r.yaml").write_text("merge: soup\nmodels: [../a.st, ../b.st]\noutput: {path: out.st}\n")
    assert cli("run", "sub/r.yaml").code == 0
    assert (work / "sub" / "out.st").exists()
    assert cli("run", "sub/r.yaml", "-o", "out.st").code == 0
    assert (work / "out.st").read_bytes() == (work / "sub" / "out.st").read_bytes()


def test_flags_win_over_the_recipe(work, cli):
    text = SOUP + "output: {path: recipe-out.st, dtype: float16}\nkeep: [embed.w]\n"
    (work / "recipe.yaml").write_text(text)
    assert cli("run", "recipe.yaml", "-o", "out.st", "--dtype", "bf16", "--keep", "lm_head.w").code == 0
    assert not (work / "recipe-out.st").exists()
    found = load(work / "out.st")
    assert found["layers.0.mlp.w"].dtype == torch.bfloat16
    assert found["embed.w"][0] == found["lm_head.w"][0] == 3


def test_several_recipes_run_in_turn(work, cli):
    for name in "xy":
        (work / f"{name}.yaml").write_text(SOUP + f"output: {name}.st\n")
    assert cli("run", "x.yaml", "y.yaml").code == 0
    assert (work / "x.st").read_bytes() == (work / "y.st").read_bytes()
    assert_refused(cli("run", "x.yaml", "y.yaml", "-o", "z.st"), 2, "--out")


def test_a_recipe_equals_the_command(work, recipe, cli):
    recipe("merge: ties\nbase: base.st\nmodels: [a.st, {model: b.st, weight: 2.0}]\noptions: {density: 1}\n")
    by_recipe = load(work / "out.st")
    flags = ("--base", "base.st", "--weights", "1,2", "--density", "1")
    assert cli("ties", "a.st", "b.st", *flags, "-o", "flags.st").code == 0
    assert_same(load(work / "flags.st"), by_recipe)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("5GB", 5 * 10**9),
        ("5 gb", 5 * 10**9),
        ("1.5KiB", 1536),
        (".5MB", 500_000),
        (200, 200),
        ("2TiB", 2 * 2**40),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


# What runs models is run by tests of its own.
RECIPES = sorted(
    path
    for path in (ROOT / "recipes").glob("*.yaml")
    if path.stem not in {"search", "atlas", "regmean-pp", "pleas", *rule_names()}
    and not path.stem.startswith("rebasin")
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_run(path, tmp_path, cli):
    """Every model that a shipped recipe names is stood in for by a small one."""
    from merge.grammar import read_recipe

    target = tmp_path / path.name
    target.write_text(path.read_text())
    for number, location in enumerate(sorted(set(locations(read_recipe(target).merge)))):
        save(tmp_path / location / "model.safetensors", llama_names(number))
    for location, method in statistics(read_recipe(target).merge):
        (made,) = statistics_of(method, llama_names(0), len(location)).values()
        save(tmp_path / location, made)
    result = cli("run", target, "-o", tmp_path / "result.st")
    assert result.code == 0, result.err
    if path.stem != "stack":  # which has other layers than its models
        assert load(tmp_path / "result.st").keys() == llama_names(0).keys()


def statistics(merge):
    return [(path, merge.method) for model in merge.models for path in model.statistics.values()]


def locations(merge):
    for entry in (*merge.models, *([merge.base] if merge.base else [])):
        yield from [entry.model] if isinstance(entry.model, str) else locations(entry.model)


def llama_names(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    parts = ("mlp.up_proj", "mlp.down_proj", "self_attn.q_proj", "input_layernorm")
    names = [f"model.layers.{n}.{part}.weight" for n in range(4) for part in parts]
    return {
        name: torch.randn(8, 8) for name in [*names, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    }
