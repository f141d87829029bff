"""`block:IN04` where recipes, `--keep` and joins take a pattern of names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, random_state, save
from command_line import assert_refused
from diffusion_layouts import layout

from merge.diffusion.blocks import blocks_of

RECIPE = """
merge: soup
models: [a.safetensors, b.safetensors]
layers:
  - {{match: "{match}", {what}}}
output: {{path: o.safetensors}}
"""


def run(cli: Callable[..., Any], here: Path, match: str, what: str) -> Any:
    (here / "recipe.yaml").write_text(RECIPE.format(match=match, what=what))
    return cli("run", "recipe.yaml", "--force")


@pytest.mark.parametrize(
    ("match", "blocks"),
    [
        ("block:IN04", {"IN04"}),
        ("block:IN00-IN02, m0", {"IN00", "IN01", "IN02", "M00"}),
        ("block:OUT1*", {"OUT10", "OUT11"}),
        ("block:BASE,VAE", {"BASE", "VAE"}),
        ("block:mid", {"M00"}),
    ],
)
def test_a_rule_applies_to_its_blocks(trained: Path, cli: Callable[..., Any], match: str, blocks: set[str]) -> None:
    result = run(cli, trained, match, "models: [{weight: 0}, {weight: 1}]")
    assert result.code == 0, result.err
    a, b, found = (load(trained / f"{name}.safetensors") for name in ("a", "b", "o"))
    own = blocks_of(layout("sd1"))
    assert own is not None
    changed = {
        own.of(name) for name in found if torch.equal(found[name], b[name]) and not torch.equal(a[name], b[name])
    }
    assert changed == blocks


def test_a_rule_may_keep_a_block(trained: Path, cli: Callable[..., Any]) -> None:
    assert run(cli, trained, "block:VAE", "keep: base").code == 0
    a, found = load(trained / "a.safetensors"), load(trained / "o.safetensors")
    kept = {name for name in found if torch.equal(found[name], a[name]) and name.startswith("first_stage_model.")}
    assert kept == {name for name in a if name.startswith("first_stage_model.")}


def test_keep_takes_a_block_with_its_own_type(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--dtype", "float32"]
    assert cli(*command, "--keep", "block:VAE").code == 0
    a, found = load(trained / "a.safetensors"), load(trained / "o.safetensors")
    for name, tensor in found.items():
        if name.startswith("first_stage_model."):
            assert torch.equal(tensor, a[name])
    assert found["model.diffusion_model.out.2.weight"].dtype == torch.float32


def test_a_join_takes_blocks_of_different_models(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["join", "a.safetensors", "b.safetensors", "-o", "o.safetensors"]
    assert cli(*command, "--matches", "block:IN*,*").code == 0
    a, b, found = (load(trained / f"{name}.safetensors") for name in ("a", "b", "o"))
    for name, tensor in found.items():
        assert torch.equal(tensor, (a if ".input_blocks." in name else b)[name])


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("block:IN12", ("recipe.yaml:5", "no block 'IN12'")),
        ("block:", ("recipe.yaml:5", "no block ''")),
        ("block:IN05-IN03", ("recipe.yaml:5", "no block 'IN05-IN03'")),
    ],
)
def test_blocks_that_there_are_none_of(
    trained: Path, cli: Callable[..., Any], match: str, words: tuple[str, ...]
) -> None:
    assert_refused(run(cli, trained, match, "options: {normalize: true}"), 2, *words)


def test_a_block_that_the_model_has_not(large: Path, cli: Callable[..., Any]) -> None:
    result = cli("soup", "x.safetensors", "y.safetensors", "-o", "o.safetensors", "--keep", "block:IN08,IN09")
    assert_refused(result, 2, "the model has no block 'IN09'", "IN00 to IN08")


def test_a_model_without_blocks(here: Path, cli: Callable[..., Any]) -> None:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.safetensors", random_state(seed))
    assert_refused(run(cli, here, "block:BASE", "keep: base"), 2, "recipe.yaml:5", "blocks of a diffusion model")
