"""Requests that a method cannot work with: one clear line, exit code 2 for usage and 1 for failure, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import random_state, save
from command_line import assert_refused, contents

BASE = ["--base", "base.st"]

# The arguments, and words that the message must hold.
FLAGS: dict[str, tuple[list[str], list[str]]] = {
    # How many models
    "slerp of three": (["slerp", "a.st", "b.st", "c.st"], ["slerp", "exactly 2 models", "3 were given"]),
    "slerp of one": (["slerp", "a.st"], ["slerp", "exactly 2 models", "one was given"]),
    "nuslerp of three": (["nuslerp", "a.st", "b.st", "c.st"], ["exactly 2 models"]),
    "multislerp of one": (["multislerp", "a.st"], ["at least 2 models"]),
    "karcher of one": (["karcher", "a.st"], ["at least 2 models"]),
    "add-difference of two": (["add-difference", "a.st", "b.st"], ["exactly 3 models"]),
    "add-difference of four": (["add-difference", "a.st", "b.st", "c.st", "base.st"], ["exactly 3 models"]),
    "median of two": (["median", "a.st", "b.st"], ["at least 3 models"]),
    "trimmed mean of two": (["trimmed-mean", "a.st", "b.st"], ["at least 3 models"]),
    "passthrough of two": (["passthrough", "a.st", "b.st"], ["passthrough", "exactly one model, but 2 were given"]),
    "wise-ft of two": (["wise-ft", "a.st", "b.st", *BASE], ["wise-ft", "exactly one model, but 2 were given"]),
    "wise-ft, its base as a model": (["wise-ft", "a.st", "b.st"], ["2 were given (the base is named apart: --base"]),
    "an option that is nobody's": (
        ["add-difference", "a.st", "b.st", "c.st", "--alpha", "1"],
        ["No such option: --alpha (add-difference has --base, --multiplier", "add-difference --help lists all)"],
    ),
    "an option that is nearly one": (
        ["ties", "a.st", "b.st", *BASE, "--densities", "1"],
        ["No such option: --densities (did you mean --density?; ", "ties --help lists all)"],
    ),
    "lines of two": (["lines", "a.st", "b.st", *BASE], ["lines", "exactly one model, but 2 were given"]),
    "nearswap of two": (["nearswap", "a.st", "b.st", *BASE], ["nearswap", "exactly one model, but 2 were given"]),
    "arcee-fusion of two": (
        ["arcee-fusion", "a.st", "b.st", *BASE],
        ["exactly one model, but 2 were given"],
    ),
    "model-stock of one": (["model-stock", "a.st", *BASE], ["at least 2 models"]),
    "consensus of one": (["consensus", "a.st", *BASE], ["at least 2 models"]),
    "ema of one": (["ema", "a.st"], ["at least 2 models"]),
    # The base
    "dare without a base": (["dare", "a.st", "b.st"], ["dare needs a base", "--base"]),
    "model-stock without a base": (["model-stock", "a.st", "b.st"], ["needs a base", "--base"]),
    "arcee-fusion without a base": (["arcee-fusion", "a.st"], ["needs a base", "--base"]),
    "wise-ft without a base": (["wise-ft", "a.st"], ["needs a base", "--base"]),
    "the base as a model of ties": (["ties", "a.st", "base.st", *BASE], ["the base is also model 2"]),
    "the base as a model of nuslerp": (["nuslerp", "base.st", "a.st", *BASE], ["the base is also model 1"]),
    "the base as the model of arcee-fusion": (["arcee-fusion", "base.st", *BASE], ["the base is also model 1"]),
    # Options out of range, by themselves or together
    "a density above 1": (["dare", "a.st", *BASE, "--density", "1.5"], ["--density", "<= 1", "1.5"]),
    "a density below 0": (["breadcrumbs", "a.st", *BASE, "--density=-0.1"], ["--density", ">= 0", "-0.1"]),
    "one of two densities": (["ties", "a.st", "b.st", *BASE, "--density", "0.5,1.2"], ["--density", "1.2"]),
    "too many densities": (["ties", "a.st", "b.st", *BASE, "--density", "0.5,0.2,0.3"], ["3 value", "2 models"]),
    "too few densities": (["dare", "a.st", "b.st", "c.st", *BASE, "--density", "0.5,0.2"], ["2 value", "3 models"]),
    "an empty density": (["dare", "a.st", "b.st", *BASE, "--density", "0.5,"], ["--density", "''"]),
    "a gamma above 1": (["breadcrumbs", "a.st", *BASE, "--gamma", "2"], ["--gamma", "2"]),
    "della keeps less than nothing": (["della", "a.st", *BASE, "--density", "0.1"], ["density 0.1", "epsilon 0.15"]),
    "della keeps more than all": (["della", "a.st", *BASE, "--density", "0.9"], ["density 0.9", "epsilon 0.15"]),
    "della with a wide epsilon": (["della", "a.st", *BASE, "--epsilon", "0.5"], ["density 0.5", "epsilon 0.5"]),
    "della with a negative epsilon": (["della", "a.st", *BASE, "--epsilon=-1"], ["--epsilon", ">= 0"]),
    "della, the second model": (["della", "a.st", "b.st", *BASE, "--density", "0.5,0.9"], ["density 0.9"]),
    "a t above 1": (["slerp", "a.st", "b.st", "--t", "1.1"], ["t must be", "1.1"]),
    "a trim of everything": (["trimmed-mean", "a.st", "b.st", "c.st", "base.st", "--trim", "0.5"], ["all of 4 models"]),
    "a threshold that nothing reaches": (["consensus", "a.st", "b.st", *BASE, "--threshold", "3"], ["2 models"]),
    "rows of flattened tensors": (["nuslerp", "a.st", "b.st", "--row-wise"], ["row_wise", "flatten"]),
    # Scores
    "best-k without scores": (["best-k", "a.st", "b.st"], ["best-k needs 'score'", "--scores"]),
    "best-k with one score": (["best-k", "a.st", "b.st", "--scores", "0.5"], ["--scores", "1 value", "2 models"]),
    "best-k of more than all": (["best-k", "a.st", "b.st", "--scores", "1,2", "--count", "3"], ["count is 3"]),
    # Weights that sum to 0
    "task-arithmetic": (["task-arithmetic", "a.st", "b.st", *BASE, "--weights", "1,-1", "--normalize"], ["sum to 0"]),
    "dare": (["dare", "a.st", "b.st", *BASE, "--weights", "1,-1", "--normalize"], ["sum to 0"]),
    "breadcrumbs": (["breadcrumbs", "a.st", "b.st", *BASE, "--weights", "1,-1", "--normalize"], ["sum to 0"]),
    "della without ties": (["della", "a.st", "b.st", *BASE, "--weights", "1,-1", "--no-ties"], ["sum to 0"]),
    "multislerp": (["multislerp", "a.st", "b.st", "--weights", "1,-1"], ["sum to 0"]),
    "nuslerp": (["nuslerp", "a.st", "b.st", "--weights", "1,-1"], ["sum to 0"]),
    # LiNeS
    "names without blocks": (["lines", "flat-a.st", "--base", "flat-base.st"], ["no tensor's name", "--pattern"]),
    "names with a gap": (["lines", "gap-a.st", "--base", "gap-base.st"], ["blocks up to 2", "none numbered 1"]),
    "a pattern that matches nothing": (["lines", "a.st", *BASE, "--pattern", r"block(\d+)"], ["no tensor's name"]),
    "a pattern without a group": (["lines", "a.st", *BASE, "--pattern", r"layers\.\d+"], ["one group"]),
    "a broken pattern": (["lines", "a.st", *BASE, "--pattern", r"layers\.(\d+"], ["regular expression"]),
    "an automatic alpha of one model": (["lines", "a.st", *BASE, "--alpha", "auto"], ["several models", "then:"]),
    "an alpha that is no word": (["lines", "a.st", *BASE, "--alpha", "automatic"], ["'automatic'", "--alpha"]),
    # Names
    "a method misspelt": (["task-aritmetic", "a.st", *BASE], ["did you mean 'task-arithmetic'?"]),
    "a method misspelt, with _": (["model_stok", "a.st", "b.st", *BASE], ["did you mean 'model-stock'?"]),
    "a flag of another method": (["slerp", "a.st", "b.st", "--density", "0.5"], ["--density"]),
}

TIES = "merge: ties\nbase: base.st\nmodels: [a.st, b.st]\n"
# The text, the place that the message begins with (line:column), and words that it must hold.
RECIPES: dict[str, tuple[str, str, list[str]]] = {
    "a density above 1": (TIES + "options: {density: 1.5}\n", "4:11", ["density must be", "1.5"]),
    "a density beside a model": (
        "merge: dare\nbase: base.st\nmodels:\n  - a.st\n  - {model: b.st, density: -0.1}\n",
        "5:19",
        ["density must be", "-0.1"],
    ),
    "a density of a layer": (
        TIES + "layers:\n  - match: '*.w'\n    options:\n      density: [0.5, 2]\n",
        "7:7",
        ["density must be", "2"],
    ),
    "a density under then": (TIES + "then:\n  - dare: {density: 7}\n", "5:12", ["density must be", "7"]),
    "a list of one density": (TIES + "options: {density: [0.5]}\n", "4:11", ["no list of 1 values"]),
    "a list over depth without layers": (
        "merge: slerp\nmodels: [flat-a.st, flat-b.st]\noptions: {t: [0.2, 0.8]}\n",
        "1:1",
        ["'t' is a list over depth", "'embed.weight' is in no stack"],
    ),
    "a list over depth for a tensor outside": (
        TIES + "layers:\n  - {match: 'embed.*', options: {density: [0.2, 0.8]}}\n",
        "5:5",
        ["'density' is a list over depth", "'embed.weight' is in no stack"],
    ),
    "three models of slerp": ("merge: slerp\nmodels: [a.st, b.st, c.st]\n", "1:1", ["exactly 2 models"]),
    "no base": ("merge: dare\nmodels: [a.st]\n", "1:1", ["dare needs a base", "base:"]),
    "the base as a model": ("merge: ties\nbase: base.st\nmodels: [base.st]\n", "1:1", ["the base is also model 1"]),
    "della in some layers": (
        "merge: della\nbase: base.st\nmodels: [a.st]\nlayers:\n  - {match: '*.w', options: {density: [0.1, 0.5]}}\n",
        "1:1",
        ["'layers.0.w'", "density 0.1", "epsilon 0.15"],
    ),
    "weights that sum to 0": (
        "merge: task-arithmetic\nbase: base.st\noptions: {normalize: true}\n"
        "models: [{model: a.st, weight: 1}, {model: b.st, weight: -1}]\n",
        "1:1",
        ["sum to 0"],
    ),
    "a score for one model only": (
        "merge: best-k\nmodels: [{model: a.st, score: 1}, b.st]\n",
        "1:1",
        ["needs 'score'", "beside each model"],
    ),
    "one score for all": ("merge: best-k\nmodels: [a.st, b.st]\noptions: {score: 1}\n", "3:11", ["beside each model"]),
    "lines after a scale": (
        TIES + "options: {scale: 0.5}\nthen:\n  - lines: {}\n",
        "1:1",
        ["lines after ties", "scale other than 1"],
    ),
    "lines after a scale of some layers": (
        TIES + "layers:\n  - {match: '*.w', options: {scale: 0.5}}\nthen:\n  - lines: {}\n",
        "1:1",
        ["lines after ties", "scale other than 1"],
    ),
    "lines on names without blocks": (
        "merge: ties\nbase: flat-base.st\nmodels: [flat-a.st]\nthen:\n  - lines: {}\n",
        "1:1",
        ["lines", "no tensor's name"],
    ),
    "lines on names with a gap": (
        "merge: ties\nbase: gap-base.st\nmodels: [gap-a.st]\nthen:\n  - lines: {}\n",
        "1:1",
        ["lines", "none numbered 1"],
    ),
    "alpha automatic": (TIES + "then:\n  - lines: {alpha: automatic}\n", "5:13", ["a number or auto", "'automatic'"]),
    "alpha auto without beta": (TIES + "then:\n  - lines: {alpha: auto}\n", "1:1", ["needs beta"]),
    "alpha auto on one model": (
        "merge: ties\nbase: base.st\nmodels: [a.st]\nthen:\n  - lines: {alpha: auto, beta: 1}\n",
        "1:1",
        ["compares several models"],
    ),
    "alpha auto alone": (
        "merge: lines\nbase: base.st\nmodels: [a.st]\noptions: {alpha: auto, beta: 1}\n",
        "1:1",
        ["compares several models"],
    ),
    "a method of several models under then": (TIES + "then:\n  - slerp: {}\n", "1:1", ["slerp", "then:"]),
    "a method misspelt": ("merge: task-aritmetic\nbase: base.st\nmodels: [a.st]\n", "1:1", ["'task-arithmetic'?"]),
    "a nested method misspelt": (
        "merge: soup\nmodels:\n  - a.st\n  - {merge: model_stok, models: [b.st, c.st]}\n",
        "4:6",
        ["did you mean 'model-stock'?"],
    ),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with blocks, without (``flat-``) and with a gap in them (``gap-``); all of them a base and a to c."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("base", "a", "b", "c")):
        state = random_state(seed)
        save(folder / f"{name}.st", state)
        save(folder / f"flat-{name}.st", {"embed.weight": state["embed.weight"], "norm": state["layers.0.norm"]})
        save(folder / f"gap-{name}.st", {key.replace("layers.1", "layers.2"): state[key] for key in state})
    return folder


@pytest.fixture
def folder(checkpoints: Path, here: Path) -> Path:
    """Return the current folder, with the checkpoints linked in."""
    for path in checkpoints.iterdir():
        (here / path.name).hardlink_to(path)
    return here


@pytest.mark.parametrize("case", FLAGS)
def test_flags(cli, folder, case):
    arguments, words = FLAGS[case]
    before = contents(folder)
    assert_refused(cli(*arguments, "-o", "out.st"), 2, *words)
    assert contents(folder) == before


@pytest.mark.parametrize("case", RECIPES)
def test_recipes(cli, folder, case):
    text, place, words = RECIPES[case]
    (folder / "recipe.yaml").write_text(text)
    before = contents(folder)
    assert_refused(cli("run", "recipe.yaml", "-o", "out.st"), 2, f"merge: recipe.yaml:{place}: ", *words)
    assert contents(folder) == before


@pytest.mark.parametrize("out", ["out.st", "out"])
def test_sparse_models_that_are_pruned_in_different_places(cli, here, out):
    for number, name in enumerate("ab"):
        weight = torch.ones(10, 10)
        weight.view(-1)[number * 10 : number * 10 + 50] = 0  # 40 zeros in common, 10 more in each
        save(here / f"{name}.st", {"w": weight, "v": torch.ones(100)})
    before = contents(here)
    refused = cli("sparse-soup", "a.st", "b.st", "-o", out)
    assert_refused(refused, 1, "differ at 20 of 200 entries", "25.0%, 25.0%", "20.0%", "--no-require-same-mask")
    assert contents(here) == before
    (here / "recipe.yaml").write_text("merge: sparse-soup\nmodels: [a.st, b.st]\n")
    assert_refused(cli("run", "recipe.yaml", "-o", out), 1, "25.0%, 25.0%", "20.0%")
    (here / "recipe.yaml").unlink()
    assert contents(here) == before
    allowed = cli("sparse-soup", "a.st", "b.st", "--no-require-same-mask", "-o", out)
    assert allowed.code == 0
    assert "20.0% of the average" in allowed.err + allowed.out


SEED_IN_VAIN = "the seed has no effect"


def warnings_of(result) -> list[str]:
    assert result.code == 0, result
    return [line for line in result.err.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("method", ["soup", "ties", "model-stock", "consensus"])
def test_a_seed_of_a_method_without_chance_warns(cli, folder, method):
    base = [] if method == "soup" else BASE
    found = warnings_of(cli(method, "a.st", "b.st", *base, "--seed", "3", "-o", "out.st"))
    assert found == [f"warning: {method} draws no random numbers: {SEED_IN_VAIN}"]
    assert warnings_of(cli(method, "a.st", "b.st", *base, "-o", "out.st", "--force")) == []


@pytest.mark.parametrize("method", ["dare", "della"])
def test_a_seed_of_a_method_with_chance_does_not(cli, folder, method):
    assert warnings_of(cli(method, "a.st", "b.st", *BASE, "--seed", "3", "-o", "out.st")) == []


SEEDED = {
    "under then": TIES + "then:\n  - dare: {density: 0.5}\n",
    "in a model": "merge: soup\nmodels: [a.st, {merge: dare, base: base.st, models: [b.st]}]\n",
    "in front of then": TIES.replace("ties", "dare") + "then:\n  - task-arithmetic: {scale: 0.5}\n",
    "in the base": "merge: ties\nbase: {merge: dare, base: base.st, models: [b.st]}\nmodels: [a.st]\n",
}


@pytest.mark.parametrize("case", SEEDED)
def test_chance_anywhere_in_a_recipe_needs_no_warning(cli, folder, case):
    (folder / "recipe.yaml").write_text(SEEDED[case] + "seed: 3\n")
    assert warnings_of(cli("run", "recipe.yaml", "-o", "out.st")) == []


@pytest.mark.parametrize("weights", [["nuslerp", "--weights", "1,-1"], ["multislerp", "--weights", "1,-1"]])
def test_hints_name_options_that_the_method_has(cli, folder, weights):
    """Neither has an option `normalize`."""
    method, *flags = weights
    assert "leave normalize off" not in cli(method, "a.st", "b.st", *flags, "-o", "out.st").err


def test_a_method_of_one_model_says_so_in_words(cli, folder):
    refused = cli("passthrough", "a.st", "b.st", "-o", "out.st")
    assert "1 models" not in refused.err
    assert "2 models was" not in refused.err
