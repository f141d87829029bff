"""Models that lack parts of each other: moving averages, components; and what commands say of layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from diffusion_layouts import STYLES, random_model, write_folder
from made_layouts import Cli, model, same


def test_the_dry_run_says_what_was_matched_and_counts_every_tensor(here: Path, cli: Cli) -> None:
    first, folder = model(here, "sd2", "ldm", 1), model(here, "sd2", "diffusers", 2)
    found = cli("soup", first, folder, "-o", "out.st", "--dry-run", "--json")
    document = json.loads(found.out)
    assert len(document["tensors"]) == 1240
    assert any("other names for 1,214 tensors, 46 of them put together from parts" in n for n in document["notes"])
    assert any("14 tensors that nothing looks at are taken from" in note for note in document["notes"])
    assert document["counts"]["copy"] == 14 + 12


def test_moving_averages_of_some_models_are_left_out(here: Path, cli: Cli) -> None:
    plain, averaged = model(here, "sd1", "ldm", 1), model(here, "sd1", "ldm", 2, ema=True)
    for first, second in ((plain, averaged), (averaged, plain)):
        found = cli("soup", first, second, "-o", "out.st", "--force", "--dry-run", "--json")
        document = json.loads(found.out)
        assert not any(row["name"].startswith("model_ema.") for row in document["tensors"])
        left = [skip["tensor"] for skip in document["skipped"] if "moving average" in skip["reason"]]
        assert len(left) == 688  # with their two counters
        assert any("the weights are merged, the averages are left out" in note for note in document["notes"])
        assert cli("soup", first, second, "-o", "out.st", "--force").code == 0
        names = load(here / "out.st").keys()
        assert not any(name.startswith("model_ema.") for name in names)


def test_moving_averages_of_all_models_are_merged(here: Path, cli: Cli) -> None:
    files = [model(here, "sd1", "ldm", seed, ema=True) for seed in (1, 2)]
    found = cli("soup", *files, "-o", "out.st")
    assert "both are merged" in found.out
    name = "model_ema.diffusion_modeltime_embed0weight"
    one, two = (load(file)[name].float() for file in files)
    assert torch.allclose(load(here / "out.st")[name].float(), (one + two) / 2, atol=1e-3)


def test_a_vae_alone_goes_with_one_in_a_folder(here: Path, cli: Cli) -> None:
    ldm, diffusers = (random_model("sd1", style, seed=4) for style in STYLES)
    front = "first_stage_model."
    bare = {n.removeprefix(front): t for n, t in ldm.items() if n.startswith(front)}
    save(here / "vae.st", bare)
    folder = write_folder(here / "folder", diffusers, "sd1")
    assert cli("soup", "vae.st", folder / "vae", "-o", "out.st").code == 0
    same(load(here / "out.st"), bare)


def test_diff_sees_through_layouts(here: Path, cli: Cli) -> None:
    file, folder = model(here, "sdxl", "ldm", 1), model(here, "sdxl", "diffusers", 1)
    document = json.loads(cli("diff", file, folder, "--json").out)
    assert document["relative_l2"] == 0
    assert document["families"] == ["SDXL base, ldm names", "SDXL base, diffusers names"]
    assert cli("diff", file, folder).out.startswith(f"{file}: SDXL base, ldm names\n{folder}: SDXL base, diffusers")
    assert len(document["tensors"]) == 2513
    assert [name.rpartition(".")[2] for name in document["only_in_a"]] == ["position_ids", "logit_scale"]
    assert document["only_in_b"] == document["unlike"] == []


def test_inspect_says_the_family(here: Path, cli: Cli) -> None:
    file, folder = model(here, "sdxl", "ldm", 1), model(here, "sd2", "diffusers", 1)
    assert "family: SDXL base, ldm names\n" in cli("inspect", file, "--no-values").out
    assert json.loads(cli("inspect", folder, "--no-values", "--json").out)["family"] == (
        "Stable Diffusion 2, diffusers names"
    )


def test_parts_of_several_types_are_refused(here: Path, cli: Cli) -> None:
    first = model(here, "sd2", "ldm", 1)
    state = random_model("sd2", "diffusers", seed=2)
    name = "text_encoder.text_model.encoder.layers.3.self_attn.k_proj.weight"
    state[name] = state[name].float()
    folder = write_folder(here / "mixed", state, "sd2")
    found = cli("soup", first, folder, "-o", "out.st")
    assert found.code == 1
    assert "are of several types (F16, F32)" in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("style", STYLES)
def test_the_vae_of_another_model_is_taken_in_whatever_layout_it_is(here: Path, cli: Cli, style: str) -> None:
    first = model(here, "sdxl", "ldm", 1)
    state = random_model("sdxl", style, seed=2)
    front = "first_stage_model." if style == "ldm" else "vae."
    save(here / "vae.st", {n.removeprefix(front): t for n, t in state.items() if n.startswith(front)})
    found = cli("soup", first, "vae.st", "--weights", "0,1", "--missing", "base", "-o", "out.st")
    assert found.code == 0, found.err
    wanted, other = load(first), random_model("sdxl", "ldm", seed=2)
    wanted |= {name: tensor for name, tensor in other.items() if name.startswith("first_stage_model.")}
    same(load(here / "out.st"), wanted)


def test_components_that_a_model_lacks_are_said_once(here: Path, cli: Cli) -> None:
    first, folder = model(here, "sd1", "ldm", 1), model(here, "sd1", "diffusers", 2)
    found = cli("soup", first, folder / "vae", "-o", "out.st")
    assert found.code == 1
    assert found.err.startswith(f"merge: {folder / 'vae'}: has no text_encoder and unet, which {first} has")
    assert found.err.count("\n") == 1
    found = cli("soup", folder / "unet", first, "-o", "out.st")
    assert f"{first}: has text_encoder and vae, which {folder / 'unet'} lacks" in found.err
    assert cli("soup", folder / "unet", first, "-o", "out.st", "--missing", "base").code == 0
    assert len(load(here / "out.st")) == 686
