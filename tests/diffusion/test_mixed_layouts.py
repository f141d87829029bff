"""Models of one family in different layouts are merged with each other, to the bytes of a merge in one layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import load
from diffusion_layouts import FAMILIES, random_model, write_folder
from made_layouts import Cli, components, model, same

import merge


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_merged_into_a_single_file(here: Path, cli: Cli, family: str) -> None:
    first, second, folder = (model(here, family, *which) for which in (("ldm", 1), ("ldm", 2), ("diffusers", 2)))
    assert cli("soup", first, second, "-o", "one.st", "--weights", "0.3,0.7").code == 0
    found = cli("soup", first, folder, "-o", "two.st", "--weights", "0.3,0.7")
    assert found.code == 0, found.err
    assert "has other names for" in found.out
    merged, wanted = load(here / "two.st"), load(here / "one.st")
    only_ldm = [name for name in wanted if "resblocks.23." in name and family == "sd2"]
    only_ldm += [n for n in wanted if n.endswith("logit_scale") or (n.endswith("text_projection") and family == "sd2")]
    same({n: t for n, t in merged.items() if n not in only_ldm}, {n: t for n, t in wanted.items() if n not in only_ldm})
    reference = load(first)
    assert all(torch.equal(merged[name], reference[name]) for name in only_ldm)
    assert cli("verify", "two.st").code == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_is_merged_into_a_folder(here: Path, cli: Cli, family: str) -> None:
    first, second, file = (model(here, family, *which) for which in (("diffusers", 1), ("diffusers", 2), ("ldm", 2)))
    assert cli("soup", first, second, "-o", "one", "--weights", "0.3,0.7").code == 0
    found = cli("soup", first, file, "-o", "two", "--weights", "0.3,0.7")
    assert found.code == 0, found.err
    same(components(here / "two"), components(here / "one"))


def test_what_is_copied_is_copied_bit_for_bit(here: Path, cli: Cli) -> None:
    first, folder = model(here, "sdxl", "ldm", 1), model(here, "sdxl", "diffusers", 2)
    assert cli("soup", first, folder, "-o", "out.st", "--weights", "0,1").code == 0
    wanted = random_model("sdxl", "ldm", seed=2)
    found = load(here / "out.st")
    kept = "conditioner.embedders.1.model.logit_scale"
    same({n: t for n, t in found.items() if n != kept}, {n: t for n, t in wanted.items() if n != kept})


def test_a_base_and_methods_over_task_vectors(here: Path, cli: Cli) -> None:
    base, one, two = model(here, "sd2", "ldm", 0), model(here, "sd2", "diffusers", 1), model(here, "sd2", "ldm", 2)
    other = model(here, "sd2", "ldm", 1)
    for name, first in (("one.st", other), ("two.st", one)):
        found = cli("ties", first, two, "--base", base, "-o", name, "--density", "0.5")
        assert found.code == 0, found.err
    dropped = ("resblocks.23.", "logit_scale", "text_projection")
    wanted, found_state = load(here / "one.st"), load(here / "two.st")
    for name, tensor in wanted.items():
        if not any(part in name for part in dropped):
            assert torch.equal(found_state[name], tensor), name


def test_bytes_do_not_depend_on_threads_or_workers(here: Path, cli: Cli) -> None:
    first, folder = model(here, "sdxl", "ldm", 1), model(here, "sdxl", "diffusers", 2)
    bytes_ = []
    for number, more in enumerate((("--threads", "1"), ("--threads", "3"), ("--workers", "2"))):
        found = cli("soup", first, folder, "-o", f"{number}.st", *more)
        assert found.code == 0, found.err
        bytes_.append(load(here / f"{number}.st"))
    same(bytes_[1], bytes_[0])
    same(bytes_[2], bytes_[0])


def test_a_folder_of_an_older_library_goes_with_one_of_today(here: Path, cli: Cli) -> None:
    first = model(here, "sd1", "diffusers", 1)
    state = random_model("sd1", "diffusers", seed=2)
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        state = {
            n.replace(f"mid_block.attentions.0.{new}.", f"mid_block.attentions.0.{old}."): t for n, t in state.items()
        }
    state = {n.replace("text_encoder.text_model.", "text_encoder."): t for n, t in state.items()}
    older = write_folder(here / "older", state, "sd1")
    newer = model(here, "sd1", "diffusers", 2)
    for other, name in ((older, "one"), (newer, "two")):
        found = cli("soup", first, other, "-o", name)
        assert found.code == 0, found.err
    same(components(here / "one"), components(here / "two"))


def test_nested_merges_and_models_in_memory(here: Path, cli: Cli) -> None:
    ldm, diffusers, other = (
        random_model("sd2", style, seed=seed) for style, seed in (("ldm", 1), ("diffusers", 2), ("ldm", 2))
    )
    mixed, plain = merge.merge_state_dicts([ldm, diffusers]), merge.merge_state_dicts([ldm, other])
    changed = [name for name in plain if not torch.equal(mixed[name], plain[name])]
    assert changed
    assert all("resblocks.23." in name or name.endswith(("text_projection", "logit_scale")) for name in changed)
    base, one, two = (
        model(here, "sd2", "ldm", 0),
        model(here, "sd2", "diffusers", 1),
        model(here, "sd2", "diffusers", 2),
    )
    lines = ["merge: task-arithmetic", f"base: {base.name}", "models:"]
    lines += [f"- {{merge: soup, models: [{one.name}, {base.name}]}}", f"- {two.name}", "output: {path: out.st}"]
    (here / "recipe.yaml").write_text("\n".join(lines))
    found = cli("run", "recipe.yaml")
    assert found.code == 0, found.err
    name = "cond_stage_model.model.transformer.resblocks.7.attn.in_proj_weight"
    b, first, second = (random_model("sd2", "ldm", seed=seed)[name].double() for seed in (0, 1, 2))
    wanted = b + ((first + b) / 2 - b) + (second - b)
    assert torch.allclose(load(here / "out.st")[name].double(), wanted, atol=2e-3)
