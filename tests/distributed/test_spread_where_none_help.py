"""No command takes ``--workers`` or ``--engine`` and does nothing about it: it is refused, or said what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused, contents

FLAGS = [
    (("--workers", 2), "--workers"),
    (("--engine", "ray"), "--engine"),
    (("--engine", "ray", "--address", "auto"), "--engine"),
]
WEIGHTS = "model.safetensors"
NETWORK = """
import torch
from torch import nn


class Normed(nn.Module):
    channels, image_size = 1, 8

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, pixels):
        return self.head(torch.relu(self.norm(self.conv(pixels))).mean((2, 3)))
"""


@pytest.fixture(params=FLAGS, ids=lambda param: " ".join(map(str, param[0])))
def flags(request):
    return request.param


def refused(cli, here, flags, *arguments):
    before = contents(here)
    given, name = flags
    assert_refused(cli(*arguments, *given), 2, name)
    assert contents(here) == before


def test_a_bundle_from_a_recipe(cli, classifiers_here, flags):
    Path("bundle.yaml").write_text("merge: moe\nmodels: [one, two]\noutput: bundle\n")
    refused(cli, classifiers_here, flags, "run", "bundle.yaml")
    assert cli("run", "bundle.yaml").code == 0


@pytest.mark.parametrize("more", [("--explain",), ("--emit", "permutations", "-o", "orders.st")])
def test_orders_without_a_merge(cli, classifiers_here, flags, more):
    refused(cli, classifiers_here, flags, "rebasin", "one", "two", "--no-verify", *more)


def test_a_recipe_that_is_printed(cli, classifiers_here, flags):
    Path("recipe.yaml").write_text("merge: soup\nmodels: [one, two]\n")
    refused(cli, classifiers_here, flags, "run", "recipe.yaml", "--print-recipe")


@pytest.mark.parametrize("command", ["t3", "dawin", "moe", "calibrate", "barrier", "inspect", "diff", "verify", "push"])
def test_commands_that_do_not_have_them(cli, command):
    assert "--workers" not in cli(command, "--help").out


def said(cli, *arguments):
    alone = cli(*arguments, "-o", "alone")
    assert alone.code == 0, alone.err
    assert "--workers" not in alone.out
    spread = cli(*arguments, "-o", "spread", "--workers", 2)
    assert spread.code == 0, spread.err
    assert Path("alone", WEIGHTS).read_bytes() == Path("spread", WEIGHTS).read_bytes()
    [line] = [line for line in spread.out.splitlines() if "by this process; --workers and --engine are for" in line]
    return line


@pytest.mark.slow
def test_a_strategy(cli, classifiers_here):
    arguments = ("soup", "one", "two", "--strategy", "greedy", "--benchmark", "first.yaml")
    assert "the weights of --strategy greedy are found by this process" in said(cli, *arguments)


@pytest.mark.slow
def test_orders_and_a_merge(cli, classifiers_here):
    assert "the orders of units are found by this process" in said(cli, "rebasin", "one", "two", "--no-verify")


@pytest.mark.slow
def test_statistics_of_one_model(cli, classifiers_here):
    Path("network.py").write_text(NETWORK)
    state = torch.nn.ModuleDict({"conv": torch.nn.Conv2d(1, 4, 3), "norm": torch.nn.BatchNorm2d(4)}).state_dict()
    save(Path("normed.st"), state | {"head.weight": torch.randn(3, 4), "head.bias": torch.zeros(3)})
    data = ("--data", "first.yaml", "--model", "network.py:Normed")
    assert "activations are measured by this process" in said(cli, "bn-reset", "normed.st", *data)


@pytest.mark.slow
def test_a_sweep_merges_and_evaluates_with_them(cli, classifiers_here):
    arguments = ("slerp", "one", "two", "--sweep", "t=0.2,0.4", "--report-benchmark", "first.yaml", "--threads", 1)
    alone = cli(*arguments, "-o", "alone")
    spread = cli(*arguments, "-o", "spread", "--workers", 2)
    assert (alone.code, spread.code) == (0, 0), spread.err
    assert Path("alone-t-0.4", WEIGHTS).read_bytes() == Path("spread-t-0.4", WEIGHTS).read_bytes()
    shown = spread.out.replace("spread-t", "alone-t").splitlines()
    tables = [[line.split() for line in lines if line.startswith("first")] for lines in (alone.out.splitlines(), shown)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 9  # four values of each, and a comparison
