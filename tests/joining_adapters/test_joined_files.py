"""Adapters in one file, in the form of kohya's trainer: merged into one such file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, load, metadata_of, save
from command_line import assert_refused
from trained_adapters import assert_close

Cli = Callable[..., Any]
SHAPES = {"text_model.q_proj": (6, 4), "down.conv": (5, 4, 3, 3), "down.proj": (8, 5, 1, 1)}


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def write(path: Path, seed: int, rank: int, alpha: float | None, metadata: dict[str, str] | None = None) -> Path:
    """Write a LoRA of every module: a Tucker decomposition for the larger convolution."""
    state: State = {}
    for number, (module, shape) in enumerate(SHAPES.items()):
        prefix = f"lora_{'te' if module.startswith('text') else 'unet'}_{module.replace('.', '_')}"
        ones = (1,) * len(shape[2:])
        state[f"{prefix}.lora_up.weight"] = numbers(shape[0], rank, *ones, seed=seed + number)
        state[f"{prefix}.lora_down.weight"] = numbers(rank, shape[1], *ones, seed=seed + number + 10)
        if shape[2:] == (3, 3):
            state[f"{prefix}.lora_mid.weight"] = numbers(rank, rank, 3, 3, seed=seed + number + 20)
        if alpha is not None:
            state[f"{prefix}.alpha"] = torch.tensor(alpha)
    return save(path, state, metadata)


@pytest.fixture
def files(here: Path) -> Path:
    """A base in float64 and two LoRAs of it."""
    base = {f"{module}.weight": torch.zeros(shape).double() for module, shape in SHAPES.items()}
    save(here / "base.st", base)
    known = {"ss_base_model_version": "sd_v1", "ss_v2": "False", "ss_learning_rate": "1"}
    write(here / "one.safetensors", 1, 3, 1.5, known)
    write(here / "two.safetensors", 5, 2, None, known | {"ss_v2": "True"})
    return here


def baked(cli: Cli, *adapters: str) -> State:
    """Return what adapters add to the base, which is 0."""
    assert cli("passthrough", "+".join(("base.st", *adapters)), "-o", "baked.st", "--force").code == 0
    return load(Path("baked.st"))


def test_a_sum_is_a_file_that_adds_the_sum(cli: Cli, files: Path) -> None:
    result = cli("adapters", "one.safetensors", "two.safetensors=0.5", "--weights", "0.25,2", "-o", "out.safetensors")
    assert result.code == 0, result.err
    assert_close(baked(cli, "out.safetensors"), baked(cli, "one.safetensors=0.25", "two.safetensors=1"), rtol=1e-6)
    names = {name.rpartition(".lora_")[2] for name in load(files / "out.safetensors")}
    assert names == {"up.weight", "down.weight", *(f"{part}.alpha" for part in modules(files / "out.safetensors"))}
    found = metadata_of(files / "out.safetensors")
    assert found["ss_base_model_version"] == "sd_v1"
    assert (found["ss_network_dim"], found["ss_network_alpha"]) == ("5", "5")
    assert "ss_v2" not in found
    assert "merge verify out.safetensors" in (files / "out.safetensors.md").read_text()
    assert cli("verify", "out.safetensors").code == 0


def modules(path: Path) -> set[str]:
    return {name.removesuffix(".alpha") for name in load(path) if name.endswith(".alpha")}


def test_text_encoders_have_a_strength_of_their_own(cli: Cli, files: Path) -> None:
    assert cli("adapters", "one.safetensors=0.5:2", "-o", "out.safetensors").code == 0
    assert_close(baked(cli, "out.safetensors"), baked(cli, "one.safetensors=0.5:2"), rtol=1e-6)
    assert cli("verify", "out.safetensors").code == 0


def test_cut_down_and_by_another_method(cli: Cli, files: Path) -> None:
    names = ("one.safetensors", "two.safetensors")
    assert cli("adapters", *names, "-o", "cut.safetensors", "--rank", "2").code == 0
    whole, found = baked(cli, *(f"{name}=0.5" for name in names)), baked(cli, "cut.safetensors")
    for name, tensor in whole.items():
        left, values, right = torch.linalg.svd(tensor.flatten(1), full_matrices=False)
        nearest = (left[:, :2] * values[:2]) @ right[:2]
        assert (found[name].flatten(1) - nearest).norm() <= 1e-6 * tensor.norm()
    given = ("--method", "ties", "--set", "density=0.5", "--rank", "99")
    assert cli("adapters", *names, "-o", "ties.safetensors", *given).code == 0
    merged = ("base.st+one.safetensors", "base.st+two.safetensors", "--base", "base.st", "--density", "0.5")
    assert cli("ties", *merged, "-o", "wanted.st").code == 0
    assert_close(baked(cli, "ties.safetensors"), load(files / "wanted.st"), rtol=3e-6)


def test_names_in_two_ways_are_one_module(cli: Cli, here: Path) -> None:
    """Trainers of SDXL name the UNet's modules as its own code does, others as diffusers does."""
    ldm, diffusers = "lora_unet_input_blocks_1_1_proj_in", "lora_unet_down_blocks_0_attentions_0_proj_in"
    for seed, name, module in ((1, "one", ldm), (2, "two", diffusers)):
        up, down = numbers(6, 2, seed=seed), numbers(2, 4, seed=seed + 5)
        state = {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
        save(here / f"{name}.safetensors", state)
    assert cli("adapters", "one.safetensors", "two.safetensors", "-o", "out.safetensors").code == 0
    found = load(here / "out.safetensors")
    assert found.keys() == {f"{ldm}.{part}" for part in ("lora_up.weight", "lora_down.weight", "alpha")}
    wanted = sum(0.5 * numbers(6, 2, seed=seed).double() @ numbers(2, 4, seed=seed + 5).double() for seed in (1, 2))
    factor = found[f"{ldm}.alpha"].double() / 4
    product = factor * found[f"{ldm}.lora_up.weight"].double() @ found[f"{ldm}.lora_down.weight"].double()
    torch.testing.assert_close(product, wanted, rtol=1e-6, atol=1e-6)


def test_form_of_diffusers_without_an_alpha(cli: Cli, here: Path) -> None:
    for seed, name in ((1, "one"), (2, "two")):
        up, down = numbers(6, 2, seed=seed), numbers(2, 4, seed=seed + 5)
        save(here / f"{name}.safetensors", {"unet.p.lora_A.weight": down, "unet.p.lora_B.weight": up})
    assert cli("adapters", "one.safetensors=3", "two.safetensors", "-o", "out.safetensors").code == 0
    found = load(here / "out.safetensors")
    assert found.keys() == {"unet.p.lora_A.weight", "unet.p.lora_B.weight"}
    wanted = 1.5 * numbers(6, 2, seed=1) @ numbers(2, 4, seed=6) + 0.5 * numbers(6, 2, seed=2) @ numbers(2, 4, seed=7)
    torch.testing.assert_close(found["unet.p.lora_B.weight"] @ found["unet.p.lora_A.weight"], wanted)


def test_what_is_no_pair_of_factors_is_refused(cli: Cli, files: Path) -> None:
    for number, (name, words) in enumerate(
        {
            "lora_unet_down_proj.dora_scale": ("no factor of a LoRA", "merge extract-lora"),
            "lora_unet_x.hada_w1_a": ("no factor of a LoRA",),
            "lora_unet_x.lokr_w1": ("no factor of a LoRA",),
            "lora_unet_x.diff": ("no factor of a LoRA",),
            "lora_unet_x.lora_down.weight": ("lacks its 'up' factor",),
        }.items()
    ):
        save(files / f"{number}.safetensors", {**load(files / "one.safetensors"), name: torch.ones(2, 2)})
        result = cli("adapters", f"{number}.safetensors", "two.safetensors", "-o", "out.safetensors")
        assert_refused(result, 1, *words)
    assert not (files / "out.safetensors").exists()


def test_outputs_and_families_that_do_not_fit(cli: Cli, files: Path) -> None:
    assert_refused(cli("adapters", "one.safetensors", "two.safetensors", "-o", "out"), 2, "-o out.safetensors")
    write(files / "xl.safetensors", 3, 2, None, {"ss_base_model_version": "sdxl_base_v1-0"})
    result = cli("adapters", "one.safetensors", "xl.safetensors", "-o", "out.safetensors")
    assert_refused(result, 1, "xl.safetensors", "SDXL", "Stable Diffusion 1")
    assert cli("adapters", "one.safetensors", "xl.safetensors", "-o", "out.safetensors", "--force-base").code == 0


def test_the_plan_says_what_is_made(cli: Cli, files: Path) -> None:
    document = json.loads(cli("adapters", "one.safetensors", "two.safetensors", "--dry-run", "--json").out)
    row = next(row for row in document["modules"] if row["module"].endswith("conv"))
    assert (row["shape"], row["ranks"], row["rank"]) == ([5, 4, 3, 3], [3, 2], 5)
    assert row["bytes"] == 4 * 5 * (5 + 4 * 9)
