"""What ``merge rebasin`` refuses: one line each, and nothing is written."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused
from documentation.blocks import blocks
from own_class import state
from rebasin_case import FIRST, SOURCE, write_orders

GROUPS, _ = (block.text for block in blocks("alignment.md") if block.language == "yaml")
WIDE = {"fc1.weight": (20, 64), "fc1.bias": (20,), "fc2.weight": (12, 20), "fc2.bias": (12,), "head.weight": (10, 12)}
BRANCHING = "model.py:Branching"
REFUSED = {
    "one model": (("a.st",), 2, "rebasin merges at least 2 models"),
    "weights of one": (("a.st", "b.st", "--emit", "aligned", "--weights", "1,2"), 2, "leave --weights out"),
    "weights of orders": (("a.st", "b.st", "--emit", "permutations", "--weights", "1,2"), 2, "leave --weights out"),
    "a type of orders": (("a.st", "b.st", "--emit", "permutations", "--dtype", "bfloat16"), 2, "--dtype means nothing"),
    "orders of another width": (("a.st", "wide.st", "--emit", "permutations"), 1, "depths cannot be aligned"),
    "a metric of weights": (("a.st", "b.st", "--metric", "inner"), 2, "is for matching by activations"),
    "samples of weights": (("a.st", "b.st", "--samples", "5"), 2, "is for matching by activations"),
    "restarts of activations": (
        ("a.st", "b.st", "--matching", "activations", "--data", "digits", "--restarts", "2"),
        2,
        "is for matching by weights",
    ),
    "a mean of activations": (
        ("a.st", "b.st", "c.st", "--matching", "activations", "--data", "digits", "--many", "mean"),
        2,
        "'many' of mean is for matching by weights",
    ),
    "orders explained": (("a.st", "b.st", "--permutations", "o.st", "--explain"), 2, "nothing is left to find"),
    "a word": (("a.st", "b.st", "--matching", "wheights"), 2, "did you mean 'weights'?"),
    "another word": (("a.st", "b.st", "--emit", "align"), 2, "did you mean 'aligned'?"),
    "orders of three": (("a.st", "b.st", "c.st", "--emit", "permutations"), 2, "is for two models"),
    "aligned of one": (("a.st", "--emit", "aligned"), 2, "at least 2 models"),
    "a document of three": (("a.st", "b.st", "b.st", "--emit", "aligned", "--json"), 2, "--json is for one output"),
    "no data": (("a.st", "b.st", "--matching", "activations"), 2, "matching by activations needs data"),
    "data for nothing": (("a.st", "b.st", "--data", "digits"), 2, "matching by weights takes no data"),
    "orders and more": (("a.st", "b.st", "--permutations", "o.st", "--groups", "g.yaml"), 2, "nothing is left to find"),
    "too few orders": (("a.st", "b.st", "c.st", "--permutations", "o.st"), 2, "given 1 times for 2 models"),
    "orders that are a model": (("a.st", "b.st", "--permutations", "c.st"), 1, "holds no permutations"),
    "no groups file": (("a.st", "b.st", "--groups", "g.yaml"), 2, "g.yaml: there is no such file of groups"),
    "a misspelt file": (("a.st", "b.st", "--groups", "group.yaml"), 2, "did you mean 'groups.yaml'?"),
    "a folder of groups": (("a.st", "b.st", "--groups", "folder"), 2, "this is a folder, and groups are a YAML file"),
    "a checkpoint of groups": (("a.st", "b.st", "--groups", "c.st"), 2, "c.st: this is a binary file, and groups are"),
    "groups are read first": (
        ("a.st", "b.st", "--groups", "g.yaml", "--model", BRANCHING),
        2,
        "no such file of groups",
    ),
    "no kind": (("a.st", "b.st", "--only", "residuals", "--model", BRANCHING), 2, "did you mean 'residual'?"),
    "no kind to explain": (("a.st", "--only", "nonsense", "--explain"), 2, "one of residual, heads"),
    "no group of a kind": (("a.st", "b.st", "--only", "mlp,heads"), 2, "no group of kind 'heads' (its groups are mlp)"),
    "no group of a kind, with a model": (
        ("a.st", "b.st", "--only", "heads", "--model", "model.py:Network"),
        2,
        "this model has no group of kind 'heads'",
    ),
    "an odd line of code": (("a.st", "b.st", "--model", BRANCHING), 1, ": return super().forward(pixels) if"),
    "orders proven on nothing": (
        ("a.st", "b.st", "--permutations", "o.st", "--verify"),
        2,
        "nothing says how to run the model",
    ),
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
    (here / "folder").mkdir()
    (here / "groups.yaml").write_text(GROUPS)
    write_orders(here / "o.st", {"first": FIRST})
    arguments, code, message = REFUSED[case]
    result = cli("rebasin", *arguments, "-o", "out.st", "--quiet")
    assert_refused(result, code, message)
    assert not (here / "out.st").exists()


@pytest.mark.parametrize("text", ["groups: {first: {members: [fc1.weight:7]}}\n", "groups: [\n", "\x00"])
def test_a_dry_run_reads_the_groups_as_the_run_does(here, cli, text):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
    (here / "broken.yaml").write_text(text)
    command = ("rebasin", "a.st", "b.st", "--groups", "broken.yaml", "-o", "out.st", "--quiet")
    tried, done = cli(*command, "--dry-run"), cli(*command)
    assert tried.code == done.code == 2
    assert tried.err == done.err
