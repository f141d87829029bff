"""`--block-weights` on the commands of methods: what each block's number does to the outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, load, metadata_of
from command_line import assert_refused
from diffusion_layouts import layout, write_model

from merge.diffusion.blocks import BLOCKS, Blocks, blocks_of

BUFFERS = ("betas", "alphas", "sqrt_", "log_", "posterior_")
NUMBERS = [round(0.03 * number + 0.01, 2) for number in range(26)]
BY_BLOCK = dict(zip(BLOCKS, NUMBERS, strict=False))
LIST = ",".join(map(str, NUMBERS))


def blocks(family: str = "sd1") -> Blocks:
    found = blocks_of(layout(family))
    assert found is not None
    return found


def merged_names(state: State) -> list[str]:
    return [name for name, tensor in state.items() if tensor.is_floating_point() and not name.startswith(BUFFERS)]


def assert_merged(out: Path, expected: Callable[[str, float], torch.Tensor], numbers: dict[str, float]) -> None:
    """Compare every tensor with what its block's number makes of it."""
    found, of = load(out), blocks().of
    seen = set()
    for name in merged_names(found):
        seen.add(of(name))
        wanted = expected(name, numbers[of(name)])
        torch.testing.assert_close(found[name].double(), wanted, rtol=1e-3, atol=1e-4, msg=name)
    assert seen == set(blocks().names)


def models(folder: Path, *names: str) -> list[State]:
    return [{key: value.double() for key, value in load(folder / f"{name}.safetensors").items()} for name in names]


def test_a_list_for_every_block(trained: Path, cli: Callable[..., Any]) -> None:
    assert cli("soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", LIST).code == 0
    a, b = models(trained, "a", "b")
    with_vae = BY_BLOCK | {"VAE": BY_BLOCK["BASE"]}
    assert_merged(trained / "o.safetensors", lambda name, share: (1 - share) * a[name] + share * b[name], with_vae)


def test_a_list_with_the_vae_behind(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", f"{LIST},0.9"]
    assert cli(*command).code == 0
    a, b = models(trained, "a", "b")
    numbers = BY_BLOCK | {"VAE": 0.9}
    assert_merged(trained / "o.safetensors", lambda name, share: (1 - share) * a[name] + share * b[name], numbers)


def test_a_list_without_base_leaves_base_and_vae_the_overall_weight(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--weights", "0.1,0.9"]
    assert cli(*command, "--block-weights", LIST.partition(",")[2]).code == 0
    a, b = models(trained, "a", "b")
    numbers = BY_BLOCK | {"BASE": 0.9, "VAE": 0.9}
    assert_merged(trained / "o.safetensors", lambda name, share: (1 - share) * a[name] + share * b[name], numbers)


def test_names_ranges_and_globs_later_ones_winning(trained: Path, cli: Callable[..., Any]) -> None:
    given = "OUT*=0.3,in4-IN06=1,OUT11=0,M=0.7,VAE=1"
    assert cli("soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", given).code == 0
    a, b = models(trained, "a", "b")
    numbers = dict.fromkeys(BLOCKS, 0.5) | {name: 0.3 for name in BLOCKS if name.startswith("OUT")}
    numbers |= {"IN04": 1, "IN05": 1, "IN06": 1, "OUT11": 0, "M00": 0.7, "VAE": 1}
    assert_merged(trained / "o.safetensors", lambda name, share: (1 - share) * a[name] + share * b[name], numbers)


def test_a_preset_with_another_base(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors"]
    assert cli(*command, "--block-weights", "OUT07,BASE=0.25").code == 0
    a, b = models(trained, "a", "b")
    numbers = {name: float(name in BLOCKS[-8:]) for name in BLOCKS} | {"BASE": 0.25, "VAE": 0.25}
    assert_merged(trained / "o.safetensors", lambda name, share: (1 - share) * a[name] + share * b[name], numbers)


def test_the_others_share_what_is_left(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "c.safetensors", "-o", "o.safetensors"]
    assert cli(*command, "--weights", "0.6,0.2,0.2", "--block-weights", LIST).code == 0
    a, b, c = models(trained, "a", "b", "c")
    numbers = BY_BLOCK | {"VAE": BY_BLOCK["BASE"]}

    def expected(name: str, share: float) -> torch.Tensor:
        return (1 - share) * (0.75 * a[name] + 0.25 * b[name]) + share * c[name]

    assert_merged(trained / "o.safetensors", expected, numbers)


def test_task_vectors_take_it_as_the_last_models_weight(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["task-arithmetic", "b.safetensors", "c.safetensors", "--base", "a.safetensors", "-o", "o.safetensors"]
    assert cli(*command, "--weights", "0.5,9", "--block-weights", LIST).code == 0
    a, b, c = models(trained, "a", "b", "c")
    numbers = BY_BLOCK | {"VAE": BY_BLOCK["BASE"]}

    def expected(name: str, share: float) -> torch.Tensor:
        return a[name] + 0.5 * (b[name] - a[name]) + share * (c[name] - a[name])

    assert_merged(trained / "o.safetensors", expected, numbers)


def test_add_difference_takes_it_as_its_multiplier(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["add-difference", "a.safetensors", "b.safetensors", "c.safetensors", "-o", "o.safetensors"]
    assert cli(*command, "--block-weights", LIST).code == 0
    a, b, c = models(trained, "a", "b", "c")
    numbers = BY_BLOCK | {"VAE": BY_BLOCK["BASE"]}
    assert_merged(trained / "o.safetensors", lambda name, share: a[name] + share * (b[name] - c[name]), numbers)


def test_slerp_takes_it_as_t(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["slerp", "a.safetensors", "b.safetensors"]
    assert cli(*command, "-o", "o.safetensors", "--block-weights", "IN00=0,IN01=1,OUT*=0.3").code == 0
    assert cli(*command, "-o", "whole.safetensors", "--t", 0.3).code == 0
    found, whole, (a, b) = load(trained / "o.safetensors"), load(trained / "whole.safetensors"), models(trained, *"ab")
    for name in merged_names(found):
        block = blocks().of(name)
        if block.startswith("OUT"):
            assert torch.equal(found[name], whole[name])
        elif block in ("IN00", "IN01"):
            assert torch.equal(found[name].double(), (a if block == "IN00" else b)[name])


def test_a_preset_on_sdxl_says_that_it_is_interpolated(large: Path, cli: Callable[..., Any]) -> None:
    command = [
        "soup",
        "x.safetensors",
        "y.safetensors",
        "-o",
        "o.safetensors",
        "--block-weights",
        "GRAD_V",
        "--dry-run",
    ]
    shown = cli(*command).out
    assert "GRAD_V has 26 numbers; they are interpolated for the 20 of x.safetensors" in shown
    assert "IN00 1, IN01 0.8854" in shown


def test_models_in_a_diffusers_folder_have_blocks_too(here: Path, cli: Callable[..., Any]) -> None:
    for seed, name in enumerate("ab"):
        write_model(here / name, "sd1", "diffusers", seed=seed)
        write_model(here / f"{name}.safetensors", "sd1", seed=seed)
    for suffix in ("", ".safetensors"):
        result = cli("soup", f"a{suffix}", f"b{suffix}", "-o", f"out{suffix}", "--block-weights", LIST)
        assert result.code == 0, result.err
    found = load(here / "out" / "unet")
    single = load(here / "out.safetensors")
    assert torch.equal(
        found["mid_block.resnets.0.norm1.weight"], single["model.diffusion_model.middle_block.0.in_layers.0.weight"]
    )
    assert torch.equal(found["conv_out.weight"], single["model.diffusion_model.out.2.weight"])


def test_it_is_recorded_as_layer_rules_and_verified(trained: Path, cli: Callable[..., Any]) -> None:
    command = [
        "soup",
        "a.safetensors",
        "b.safetensors",
        "-o",
        "o.safetensors",
        "--block-weights",
        "IN00-IN05=0.2,M00=1",
    ]
    assert cli(*command).code == 0
    assert json.loads(metadata_of(trained / "o.safetensors")["merge.recipe"])["layers"] == [
        {"match": "block:IN00-IN05", "models": [{"weight": 0.8}, {"weight": 0.2}]},
        {"match": "block:M00", "models": [{"weight": 0.0}, {"weight": 1.0}]},
    ]
    assert "repeats" in cli("verify", "o.safetensors").out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1,2,3", ("3 numbers for a.safetensors", "25", "26 with BASE", "27 with VAE", "SDXL takes 19 to 21")),
        ("0.5", ("1 number for a.safetensors",)),
        (",".join(["1"] * 20), ("20 numbers", "takes 25")),
        ("IN12=1", ("no block 'IN12'", "did you mean 'IN1")),
        ("INN1=1", ("no block 'INN1'", "did you mean 'IN1")),
        ("GRAD_W", ("no preset 'GRAD_W'", "did you mean 'GRAD_V'?")),
        ("IN05", ("the block 'IN05' has no number", "IN05=0.5")),
        ("IN05=x", ("'x' is no number",)),
        ("IN05=nan", ("'nan' is no number",)),
        ("1," * 24 + "y", ("'y' is no number",)),
        ("GRAD_V,M00", ("'M00' is no NAME=NUMBER",)),
    ],
)
def test_bad_input(trained: Path, cli: Callable[..., Any], given: str, words: tuple[str, ...]) -> None:
    result = cli("soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", given)
    assert_refused(result, 2, "--block-weights", *words)
    assert not (trained / "o.safetensors").exists()


def test_a_block_that_sdxl_has_not(large: Path, cli: Callable[..., Any]) -> None:
    result = cli("soup", "x.safetensors", "y.safetensors", "-o", "o.safetensors", "--block-weights", "IN07-IN09=1")
    assert_refused(result, 2, "the model has no block 'IN09'", "IN00 to IN08")


def test_a_number_beyond_what_the_option_takes(trained: Path, cli: Callable[..., Any]) -> None:
    result = cli("slerp", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", "IN00=1.5")
    assert_refused(result, 2, "--block-weights", "t must be >= 0 and <= 1")


def test_a_method_to_which_it_means_nothing(trained: Path, cli: Callable[..., Any]) -> None:
    result = cli("karcher", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", "IN00=1")
    assert_refused(result, 2, "karcher has neither weights nor")
    assert "--block-weights" not in cli("karcher", "--help").out
    assert "--block-weights" in cli("soup", "--help").out


def test_a_model_without_such_blocks(pair: tuple[Path, Path], cli: Callable[..., Any]) -> None:
    result = cli("soup", *pair, "-o", pair[0].with_name("o.st"), "--block-weights", "IN00=1")
    assert_refused(result, 2, "a.st", "UNet of Stable Diffusion 1, 2 and XL")


def test_weights_that_are_found_otherwise(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--block-weights", "IN00=1"]
    result = cli(*command, "--strategy", "greedy", "--benchmark", "builtin:digits")
    assert_refused(result, 2, "--block-weights gives the weights, --strategy finds them")


def test_a_sweep_changes_the_blocks_without_a_number(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["slerp", "a.safetensors", "b.safetensors", "-o", "o.safetensors", "--sweep", "t=0,1", "--block-weights"]
    assert cli(*command, "IN00=0.5").code == 0
    b, found = load(trained / "b.safetensors"), load(trained / "o-t-1.safetensors")
    changed = {blocks().of(name) for name in merged_names(found) if not torch.equal(found[name], b[name])}
    assert changed == {"IN00"}
    assert_refused(cli(*command, "GRAD_V", "--force"), 2, "--sweep would change nothing")


def test_too_few_models(trained: Path, cli: Callable[..., Any]) -> None:
    result = cli("soup", "a.safetensors", "-o", "o.safetensors", "--block-weights", "GRAD_V")
    assert_refused(result, 2, "soup merges at least 2 models, but one was given")


def test_others_without_weight(trained: Path, cli: Callable[..., Any]) -> None:
    command = ["soup", "a.safetensors", "b.safetensors", "c.safetensors", "-o", "o.safetensors", "--weights", "1,-1,1"]
    assert_refused(cli(*command, "--block-weights", "IN00=0.5"), 2, "weight of 0 in total")
