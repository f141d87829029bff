"""A folder of components is written as a single file with ldm's names where the output is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import Result
from diffusion_layouts import FAMILIES, SCHEDULE, layout, random_model, write_model

from merge.checkpoints.header import TensorInfo
from merge.diffusion.modules import diffusers_names
from merge.diffusion.single_file import ldm_tensors

Cli = Callable[..., Result]
# What diffusers leaves out of a single file, besides the noise schedule.
LEFT_OUT = ("logit_scale", "position_ids")


def is_left_out(name: str, family: str) -> bool:
    second = family == "sd2" and ("resblocks.23." in name or name.endswith("text_projection"))
    return name in SCHEDULE or name.endswith(LEFT_OUT) or second


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_reads_backwards(family: str) -> None:
    folder = {name: TensorInfo(name, "F16", shape, 0, 0, 0) for name, shape in layout(family, "diffusers", 1).items()}
    found = {name: info.shape for name, info in ldm_tensors(diffusers_names(folder), family).items()}
    assert found == {n: s for n, s in layout(family, "ldm", 1).items() if not is_left_out(n, family)}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_cast_into_one_file(here: Path, cli: Cli, family: str) -> None:
    write_model(here / "folder", family, "diffusers", seed=1)
    found = cli("cast", "folder", "-o", "out.safetensors", "--dtype", "float16")
    assert found.code == 0, found.err
    assert "with the names of ldm" in found.out
    wanted = {n: t for n, t in random_model(family, "ldm", seed=1).items() if not is_left_out(n, family)}
    written = load(here / "out.safetensors")
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in wanted.items())
    result = cli("verify", "out.safetensors")
    assert result.code == 0, result.err


def test_folders_and_files_are_merged_into_one_file(here: Path, cli: Cli) -> None:
    folder = write_model(here / "folder", "sdxl", "diffusers", seed=1)
    files = [write_model(here / f"{seed}.st", "sdxl", seed=seed) for seed in (1, 2)]
    assert cli("soup", *files, "-o", "one.st").code == 0
    assert cli("soup", folder, files[1], "-o", "two.st").code == 0
    merged, wanted = load(here / "two.st"), load(here / "one.st")
    assert {n for n in wanted if n not in merged} == {n for n in wanted if n.endswith(LEFT_OUT)}
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in merged.items())
    assert cli("verify", "two.st").code == 0


def test_what_a_single_file_has_no_place_for_is_listed(here: Path, cli: Cli) -> None:
    folder = write_model(here / "folder", "sd1", "diffusers", seed=1)
    save(folder / "safety_checker" / "model.safetensors", {"concept_embeds": torch.ones(17, 4)})
    (folder / "safety_checker" / "config.json").write_text("{}")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    found = cli("cast", "folder", "-o", "out.st", "--dtype", "float16", "--dry-run", "--json")
    assert found.code == 0, found.err
    skipped = [(skip["tensor"], skip["reason"]) for skip in json.loads(found.out)["skipped"]]
    assert skipped == [("safety_checker.concept_embeds", "a single file has no place for it")]


def test_a_unet_alone_keeps_its_names(here: Path, cli: Cli) -> None:
    folder = write_model(here / "folder", "sd1", "diffusers", seed=1)
    assert cli("cast", folder / "unet", "-o", "out.st", "--dtype", "float16").code == 0
    assert load(here / "out.st").keys() == load(folder / "unet").keys()
