"""Places of tensors in models whose blocks are grouped into stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from safetensors.torch import save_file

from merge.calibration.facts import Facts
from merge.planning.blocks import BlockIndex

STAGES = 4
# timm joins stages before a stage's blocks, so the first stage has nothing to join; transformers behind them.
JOINS = {"timm": ("", range(1, STAGES)), "transformers": ("swin.encoder.", range(STAGES - 1))}


def swin(kind: str) -> dict[str, int]:
    """Return every tensor's name and the number of its stage."""
    prefix, joins = JOINS[kind]
    found = {f"{prefix}layers.{n}.blocks.{block}.mlp.fc1.weight": n for n in range(STAGES) for block in range(2)}
    return found | {f"{prefix}layers.{n}.downsample.reduction.weight": n for n in joins}


@pytest.mark.parametrize("kind", JOINS)
def test_what_joins_two_stages_belongs_to_its_stage(kind: str) -> None:
    wanted = swin(kind)
    index = BlockIndex([*wanted, "norm.weight"])
    assert {name: index.place(name).depth for name in wanted} == {name: n / 3 for name, n in wanted.items()}


def write_models(folder: Path, kind: str) -> None:
    for number, name in enumerate("ab"):
        torch.manual_seed(number)
        save(folder / f"{name}.st", {tensor: torch.randn(3, 2) for tensor in swin(kind)})
        grams = {tensor: torch.eye(2) * (number + 1) for tensor in swin(kind)}
        save_file(grams, folder / f"{name}-gram.st", Facts("gram", rows=dict.fromkeys(grams, 9)).metadata())


@pytest.mark.parametrize("kind", JOINS)
def test_a_region_of_swin(kind: str, here: Path, cli) -> None:
    write_models(here, kind)
    grams = ("--gram", "a-gram.st", "--gram", "b-gram.st")
    result = cli("regmean", "a.st", "b.st", *grams, "--region", "late", "-o", "out.st")
    assert result.code == 0, result.err
    a, b, found = (load(here / f"{name}.st") for name in ("a", "b", "out"))
    for name, stage in swin(kind).items():
        wanted = (a[name] + 2 * b[name]) / 3 if stage >= 2 else (a[name] + b[name]) / 2
        torch.testing.assert_close(found[name], wanted)


@pytest.mark.parametrize("kind", JOINS)
def test_lines_on_swin(kind: str, here: Path, cli) -> None:
    write_models(here, kind)
    result = cli("lines", "b.st", "--base", "a.st", "--alpha", 0, "--beta", 1, "-o", "out.st")
    assert result.code == 0, result.err
    a, b, found = (load(here / f"{name}.st") for name in ("a", "b", "out"))
    for name, stage in swin(kind).items():
        torch.testing.assert_close(found[name], a[name] + stage / 3 * (b[name] - a[name]))
