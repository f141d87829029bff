"""Other methods than sums: what adapters add are the task vectors, as if models with a base were merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, save
from command_line import run
from trained_adapters import State, added, assert_close, gpt2, small, train

Cli = Callable[..., Any]
LAYERS = ("embed.weight", "first.weight", "second.weight", "conv.weight")
METHODS = {
    "ties": ("--density", "0.3", "--scale", "1.5"),
    "dare": ("--density", "0.4", "--seed", "7"),
    "della": ("--density", "0.5", "--seed", "3"),
    "breadcrumbs": (),
    "consensus": (),
    "sce": (),
    "model-stock": (),
    "magmax": (),
    "iso-c": (),
    "tsv-m": (),
}
SPECTRAL = ("iso-c", "tsv-m")


@pytest.fixture
def folder(here: Path) -> Path:
    """A base in float64 and two adapters that differ in modules."""
    network = small()
    save(here / "base" / "model.safetensors", {name: t.double() for name, t in network.state_dict().items()})
    train(small(), here / "one", 1, target_modules=["embed", "first", "second", "conv"])
    train(small(), here / "two", 2, target_modules=["embed", "first", "second", "conv"], r=2)
    train(small(), here / "three", 3, target_modules=["embed", "first"], r=2)
    return here


def merged(cli: Cli, folder: Path, method: str, *options: str, models: tuple[str, ...] = ("one", "two")) -> State:
    """Return what merging the baked models adds to the base."""
    given = [f"base+{name}" for name in models]
    result = cli(method, *given, "--base", "base", "-o", "baked", "--force", *options)
    assert result.code == 0, result.err
    base, found = load(folder / "base"), load(folder / "baked")
    return {name: found[name] - base[name] for name in LAYERS}


def joined(cli: Cli, folder: Path, method: str, *options: str, models: tuple[str, ...] = ("one", "two")) -> State:
    """Return what the outcome of joining adds, of a rank that holds everything."""
    result = cli("adapters", *models, "--method", method, *options, "-o", "out", "--force", "--rank", "99")
    assert result.code == 0, result.err
    return {name: tensor for name, tensor in added(small(), folder / "out").items() if name in LAYERS}


def in_recipe_form(options: tuple[str, ...]) -> list[str]:
    """Turn the flags of a method's own command into those of ``merge adapters``."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return [
        part
        for flag, value in pairs
        for part in ((flag, value) if flag == "--seed" else ("--set", f"{flag[2:].replace('-', '_')}={value}"))
    ]


@pytest.mark.parametrize("method", METHODS)
def test_equal_to_merging_models(cli: Cli, folder: Path, method: str) -> None:
    if method in SPECTRAL:  # of matrices of full rank: directions that are 0 are those that rounding makes them
        for seed, name in ((1, "one"), (2, "two")):
            train(small(), folder / name, seed, target_modules=["embed", "first", "second", "conv"], r=8)
    wanted = merged(cli, folder, method, *METHODS[method])
    assert_close(joined(cli, folder, method, *in_recipe_form(METHODS[method])), wanted, rtol=3e-6)


def test_an_adapter_that_lacks_a_module_adds_0(cli: Cli, folder: Path) -> None:
    models = ("one", "two", "three")
    wanted = merged(cli, folder, "ties", "--density", "0.5", models=models)
    assert_close(joined(cli, folder, "ties", "--set", "density=0.5", models=models), wanted, rtol=3e-6)


def test_options_of_each_adapter(cli: Cli, folder: Path) -> None:
    wanted = merged(cli, folder, "ties", "--density", "0.2,0.8", "--weights", "1,3")
    assert_close(joined(cli, folder, "ties", "--set", "density=0.2,0.8", "--weights", "1,3"), wanted, rtol=3e-6)


def test_methods_over_weights_merge_what_is_added(cli: Cli, folder: Path) -> None:
    train(small(), folder / "four", 4, target_modules=["embed", "first", "second", "conv"])
    found = joined(cli, folder, "median", models=("one", "two", "four"))
    parts = [added(small(), folder / name) for name in ("one", "two", "four")]
    wanted = {name: torch.stack([part[name] for part in parts]).median(0).values for name in LAYERS}
    assert_close(found, wanted, rtol=3e-6)


def test_by_default_the_rank_is_the_largest_of_the_adapters(cli: Cli, folder: Path) -> None:
    document = json.loads(cli("adapters", "one", "two", "--method", "ties", "-o", "out", "--json").out)
    assert {row["rank"] for row in document["modules"]} == {3}
    full = joined(cli, folder, "ties")
    assert cli("adapters", "one", "two", "--method", "ties", "-o", "cut").code == 0
    found = added(small(), folder / "cut")
    for row in document["modules"]:
        name = f"{row['module']}.weight"
        left, values, right = torch.linalg.svd(full[name].flatten(1), full_matrices=False)
        nearest = (left[:, :3] * values[:3]) @ right[:3]
        assert (found[name].flatten(1) - nearest).norm() <= 1e-5 * full[name].norm()
        kept = float((values[:3] ** 2).sum() / (values**2).sum())
        assert row["energy"] == pytest.approx(kept, abs=1e-5)
        assert row["energy"] < 1


def test_rows_are_those_of_the_stored_weights(cli: Cli, here: Path) -> None:
    """DELLA ranks entries within rows: of [inputs, outputs] where a layer is stored so."""
    network = gpt2()
    save(here / "base" / "model.safetensors", {name: t.double() for name, t in network.state_dict().items()})
    for seed, name in ((1, "one"), (2, "two")):
        train(gpt2(), here / name, seed, target_modules=["c_attn"], fan_in_fan_out=True)
    options = ("--density", "0.5", "--seed", "3")
    assert cli("della", "base+one", "base+two", "--base", "base", "-o", "baked", *options).code == 0
    given = ("--set", "density=0.5", "--seed", "3", "--rank", "12")
    assert cli("adapters", "one", "two", "--method", "della", "-o", "out", *given).code == 0
    name = "transformer.h.0.attn.c_attn.weight"
    wanted = load(here / "baked")[name] - load(here / "base")[name]
    assert_close({name: added(gpt2(), here / "out")[name]}, {name: wanted}, rtol=3e-6)


def test_equal_to_ties_of_peft(cli: Cli, folder: Path) -> None:
    """With equal weights. Where they differ, PEFT elects signs without them and divides by the number that agrees."""
    from peft import PeftModel

    for seed, name in ((5, "one"), (6, "two")):
        train(small(), folder / name, seed, target_modules=["second"])
    model = PeftModel.from_pretrained(small(), folder / "one", "one")
    model.load_adapter(folder / "two", "two")
    model.base_model.add_weighted_adapter(["one", "two"], [1.0, 1.0], "both", "ties_svd", svd_rank=8, density=0.5)
    theirs = model.base_model.model.second.get_delta_weight("both").double()
    given = ("--set", "density=0.5", "--rank", "8")
    assert cli("adapters", "one", "two", "--method", "ties", *given, "-o", "out").code == 0
    assert_close({"second": added(small(), folder / "out")["second.weight"]}, {"second": theirs}, rtol=1e-5)


def test_the_same_bytes_for_any_number_of_threads(folder: Path) -> None:
    for number in ("1", "3"):
        command = ("adapters", "one", "two", "--method", "dare", "--seed", "5", "-o", f"out{number}")
        assert run(*command, "--threads", number, cwd=folder).code == 0
    one, other = (folder / f"out{number}" / "adapter_model.safetensors" for number in ("1", "3"))
    assert one.read_bytes() == other.read_bytes()
    assert run("adapters", "one", "two", "--method", "dare", "--seed", "6", "-o", "third", cwd=folder).code == 0
    assert (folder / "third" / "adapter_model.safetensors").read_bytes() != one.read_bytes()
