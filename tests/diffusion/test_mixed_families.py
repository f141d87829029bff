"""Models of several families are refused by one message, before any weights are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import Result
from diffusion_layouts import FAMILIES, STYLES, random_model, write_model

Cli = Callable[..., Result]
TITLES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL base",
    "sdxl-refiner": "SDXL refiner",
}


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(FAMILIES, 2)))
@pytest.mark.parametrize("style", STYLES)
def test_two_families_are_refused_by_name(here: Path, cli: Cli, one: str, two: str, style: str) -> None:
    first = write_model(here / "one.st", one)
    second = write_model(here / ("two.st" if style == "ldm" else "two"), two, style)
    found = cli("soup", first, second, "-o", "out.st")
    assert found.code == 1
    assert found.err.startswith(f"merge: models of two families: {TITLES[one]} ({first}) and {TITLES[two]} ({second})")
    assert found.err.count("\n") == 1
    assert not (here / "out.st").exists()


def test_a_broken_payload_is_not_reached(here: Path, cli: Cli) -> None:
    first, second = write_model(here / "one.st", "sd1"), write_model(here / "two.st", "sdxl")
    first.write_bytes(first.read_bytes()[:-1] + b"\xff")  # an input that reading would accept, but differently
    assert "models of two families" in cli("soup", first, second, "-o", "out.st", "--dry-run").err


def test_who_says_what_to_do_may_mix_families(here: Path, cli: Cli) -> None:
    first, second = write_model(here / "one.st", "sd1", seed=1), write_model(here / "two.st", "sd2", seed=2)
    found = cli("soup", first, second, "-o", "out.st", "--missing", "base", "--mismatch", "base")
    assert found.code == 0, found.err
    name = "first_stage_model.decoder.conv_in.weight"
    merged, one, two = (load(path)[name].float() for path in (here / "out.st", first, second))
    assert torch.allclose(merged, (one + two) / 2, atol=1e-3)


def test_later_families_are_refused_by_name_too(here: Path, cli: Cli) -> None:
    first = write_model(here / "one.st", "sd1")
    flux = save(here / "flux.st", {"double_blocks.0.img_attn.norm.key_norm.scale": torch.ones(4)})
    assert "Stable Diffusion 1" in (err := cli("soup", first, flux, "-o", "out.st").err)
    assert "Flux" in err


def test_inpainting_goes_with_others_where_the_recipe_says_so(here: Path, cli: Cli) -> None:
    inpainting = write_model(here / "inpainting.st", "sd1", seed=1, channels_in=9)
    others = [write_model(here / f"{seed}.st", "sd1", seed=seed) for seed in (2, 3)]
    found = cli("add-difference", inpainting, *others, "-o", "out.st")
    assert found.code == 1
    assert "inpainting" in found.err
    assert "text to image" in found.err
    assert "--mismatch base" in found.err
    assert cli("add-difference", inpainting, *others, "-o", "out.st", "--mismatch", "base").code == 0
    state, front = load(here / "out.st"), "model.diffusion_model."
    first = load(inpainting)
    assert torch.equal(state[f"{front}input_blocks.0.0.weight"], first[f"{front}input_blocks.0.0.weight"])
    name = f"{front}out.2.weight"
    a, b, c = (load(path)[name].float() for path in (inpainting, *others))
    assert torch.allclose(state[name].float(), a + b - c, atol=2e-3)


def test_two_inpainting_models_go_together(here: Path, cli: Cli) -> None:
    files = [write_model(here / f"{seed}.st", "sd1", seed=seed, channels_in=9) for seed in (1, 2)]
    assert cli("soup", *files, "-o", "out.st").code == 0


def test_a_family_and_a_model_of_none_get_the_ordinary_message(here: Path, cli: Cli) -> None:
    first = write_model(here / "one.st", "sd1")
    state = random_model("sd1", seed=2)
    save(here / "two.st", {"w": state["betas"]})
    found = cli("soup", first, "two.st", "-o", "out.st")
    assert found.code == 1
    assert "not in all models" in found.err
