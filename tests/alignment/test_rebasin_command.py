"""``merge rebasin`` from the command line, and every command of the page on alignment in its order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT, assert_refused

PAGE = (ROOT / "docs" / "alignment.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]
GROUPS, RECIPE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SOURCE = """
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.head = torch.nn.Linear(64, 16), torch.nn.Linear(16, 12), torch.nn.Linear(12, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.relu(self.fc2(torch.relu(self.fc1(pixels)))))
"""


def state(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"fc1.weight": (16, 64), "fc1.bias": (16,), "fc2.weight": (12, 16), "fc2.bias": (12,)}
    shapes |= {"head.weight": (10, 12), "head.bias": (10,)}
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def shuffled(model: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the model with its hidden units in another order."""
    first, second = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (16, 12))
    found = dict(model) | {f"fc1.{part}": model[f"fc1.{part}"][first] for part in ("weight", "bias")}
    found |= {"fc2.weight": model["fc2.weight"][second][:, first], "fc2.bias": model["fc2.bias"][second]}
    found |= {"head.weight": model["head.weight"][:, second]}
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate("abc"):
        save(folder / f"{name}.st", state(seed))
    (folder / "model.py").write_text(SOURCE)
    (folder / "groups.yaml").write_text(GROUPS)
    (folder / "aligned.yaml").write_text(RECIPE)
    for name in ("train", "test"):
        images = np.random.default_rng(len(name)).integers(0, 256, (80, 8, 8), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(80) % 10)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    return folder


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda number: COMMANDS[number][:70])
def test_command_of_the_page(made, monkeypatch, cli, number):
    monkeypatch.chdir(made)
    result = cli(*shlex.split(COMMANDS[number])[1:])
    assert result.code == 0, (COMMANDS[number], result.err)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_shuffled_copy_comes_back_bit_for_bit(here, cli, dtype):
    model = state(0, dtype)
    save(here / "a.st", model)
    save(here / "b.st", shuffled(model))
    for emitted in ("merged", "aligned"):
        result = cli("rebasin", "a.st", "b.st", "--emit", emitted, "-o", f"{emitted}.st")
        assert result.code == 0, result.err
        found = load(here / f"{emitted}.st")
        assert all(torch.equal(found[name], model[name]) for name in model)
        assert cli("verify", f"{emitted}.st").code == 0


def test_models_of_one_start_get_the_advice(here, cli):
    model = state(0)
    save(here / "a.st", model)
    save(here / "b.st", {name: tensor + 0.01 * torch.randn(tensor.shape) for name, tensor in model.items()})
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st")
    assert result.code == 0, result.err
    assert "soup" in result.out


def test_a_recipe_is_the_same_merge(here, cli):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
    assert cli("rebasin", "a.st", "b.st", "--seed", 3, "-o", "flags.st").code == 0
    (here / "r.yaml").write_text("merge: rebasin\nmodels: [a.st, b.st]\nseed: 3\noutput: recipe.st\n")
    assert cli("run", "r.yaml").code == 0
    nested = "merge: soup\nmodels: [a.st, {model: {align: b.st, to: a.st}}]\nseed: 3\noutput: nested.st\n"
    (here / "n.yaml").write_text(nested)
    assert cli("run", "n.yaml").code == 0
    wanted = load(here / "flags.st")
    for name in ("recipe.st", "nested.st"):
        found = load(here / name)
        assert all(torch.equal(found[tensor], wanted[tensor]) for tensor in wanted)


def test_the_shipped_recipe_and_the_printed_one_run(here, cli):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
        save(here / f"tuned-{seed + 1}" / "model.safetensors", state(seed))
    (here / "rebasin.yaml").write_text((ROOT / "recipes" / "rebasin.yaml").read_text())
    (here / "printed.yaml").write_text(cli("new", "rebasin").out)
    for recipe in ("rebasin.yaml", "printed.yaml"):
        result = cli("run", recipe)
        assert result.code == 0, result.err


def test_what_is_written_names_all_that_went_in(here, cli):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st", "--json")
    roles = [one["role"] for one in json.loads(result.out)["inputs"]]
    assert roles == ["model 1", "model 2 before it is aligned", "permutations of model 2", "model 2"]


def test_one_model_can_be_explained(here, cli):
    save(here / "a.st", state(0))
    result = cli("rebasin", "a.st", "--explain")
    assert result.code == 0, result.err
    assert "2 groups" in result.out


def test_a_dry_run_finds_nothing(here, cli):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st", "--dry-run")
    assert result.code == 0, result.err
    assert sorted(path.name for path in here.iterdir()) == ["a.st", "b.st"]


WIDE = {"fc1.weight": (20, 64), "fc1.bias": (20,), "fc2.weight": (12, 20), "fc2.bias": (12,), "head.weight": (10, 12)}
REFUSED = {
    "one model": (("a.st",), 2, "rebasin merges at least 2 models"),
    "weights of one": (("a.st", "b.st", "--emit", "aligned", "--weights", "1,2"), 2, "leave --weights out"),
    "a word": (("a.st", "b.st", "--matching", "wheights"), 2, "did you mean 'weights'?"),
    "another word": (("a.st", "b.st", "--emit", "align"), 2, "did you mean 'aligned'?"),
    "aligned of three": (("a.st", "b.st", "c.st", "--emit", "aligned"), 2, "is for two models"),
    "no data": (("a.st", "b.st", "--matching", "activations"), 2, "matching by activations needs data"),
    "data for nothing": (("a.st", "b.st", "--data", "digits"), 2, "matching by weights takes no data"),
    "orders and more": (("a.st", "b.st", "--permutations", "o.st", "--groups", "g.yaml"), 2, "nothing is left to find"),
    "too few orders": (("a.st", "b.st", "c.st", "--permutations", "o.st"), 2, "given 1 times for 2 models"),
    "orders that are a model": (("a.st", "b.st", "--permutations", "c.st"), 1, "holds no permutations"),
    "no groups file": (("a.st", "b.st", "--groups", "g.yaml"), 2, "g.yaml"),
    "another width": (("a.st", "wide.st"), 1, "models of different widths or depths cannot be aligned"),
    "a sweep": (("a.st", "b.st", "--sweep", "weight=0:1:0.5"), 2, "sweep"),
    "a proof of nothing": (("a.st", "b.st", "--verify"), 2, "nothing says how to run the model"),
    "an odd shape": (("a.st", "b.st", "--model", "model.py:Network", "--input-shape", "1by64"), 2, "--input-shape"),
    "NaN": (("a.st", "nan.st"), 1, "fc1.weight"),
    "unknown names": (("odd.st", "odd.st"), 2, "--groups"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(here, cli, case):
    for seed, name in enumerate("abc"):
        save(here / f"{name}.st", state(seed))
    save(here / "wide.st", {name: torch.randn(shape) for name, shape in WIDE.items()} | {"head.bias": torch.randn(10)})
    save(here / "nan.st", state(1) | {"fc1.weight": torch.full((16, 64), float("nan"))})
    save(here / "odd.st", {"x": torch.randn(3, 5), "z.y": torch.randn(7, 2, 2)})
    (here / "model.py").write_text(SOURCE)
    arguments, code, message = REFUSED[case]
    result = cli("rebasin", *arguments, "-o", "out.st", "--quiet")
    assert_refused(result, code, message)
    assert not (here / "out.st").exists()
