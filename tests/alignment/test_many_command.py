"""``merge rebasin`` of three and more models: what is written, told and refused."""

from __future__ import annotations

import json
from itertools import permutations

import jsonschema
import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT, assert_refused
from own_class import PERCEPTRON, SHAPES, state
from planted import distance, moved

from merge.alignment.matching.relative import relative
from merge.alignment.permutations import identity
from merge.alignment.permutations_file import read_permutations
from merge.schema import SCHEMAS

WAYS = ("reference", "medoid", "mean", "universe")


@pytest.fixture
def models(here):
    """Three models of random weights."""
    for seed, name in enumerate("abc"):
        save(here / f"{name}.st", state(seed))
    return here


def written_orders(folder, out: str):
    """Return the orders of all models as the files have them, and their groups."""
    files = [
        read_permutations(folder / f"{out}.statistics" / f"permutations-{number}.safetensors") for number in (2, 3)
    ]
    groups = files[0].groups
    as_it_is = {name: identity(group, groups) for name, group in groups.groups.items()}
    return [as_it_is, *(file.orders for file in files)], groups


def test_what_is_written_is_consistent_around_every_cycle(models, cli):
    assert cli("rebasin", "a.st", "b.st", "c.st", "--many", "universe", "-o", "out.st").code == 0
    orders, groups = written_orders(models, "out.st")
    states = [{name: tensor.numpy() for name, tensor in state(seed).items()} for seed in range(3)]

    def between(one: int, other: int):
        return relative(orders[other], orders[one], groups)

    for one, two, three in permutations(range(3)):
        through = moved(moved(states[three], groups, between(two, three)), groups, between(one, two))
        assert distance(through, moved(states[three], groups, between(one, three))) == 0
        back = moved(moved(states[one], groups, between(two, one)), groups, between(one, two))
        assert distance(back, states[one]) == 0
    aligned = [moved(model, groups, own) for model, own in zip(states, orders, strict=True)]
    found = load(models / "out.st")
    for name, tensor in found.items():
        mean = np.mean([model[name] for model in aligned], axis=0)
        np.testing.assert_allclose(tensor.numpy(), mean, rtol=1e-5, atol=1e-6)
    assert cli("verify", "out.st").code == 0


def shuffled(seed: int) -> dict[str, torch.Tensor]:
    """Return the first model with its hidden units in another order."""
    generator, model = torch.Generator().manual_seed(seed), state(0)
    first, second = (torch.randperm(count, generator=generator) for count in (16, 12))
    found = {f"fc1.{part}": model[f"fc1.{part}"][first] for part in ("weight", "bias")}
    found |= {"fc2.weight": model["fc2.weight"][second][:, first], "fc2.bias": model["fc2.bias"][second]}
    found |= {"head.weight": model["head.weight"][:, second], "head.bias": model["head.bias"]}
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.mark.parametrize("many", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shuffled_copies_come_back(here, cli, many, dtype):
    for name, model in (("a", state(0)), ("b", shuffled(1)), ("c", shuffled(2))):
        save(here / f"{name}.st", {key: tensor.to(dtype) for key, tensor in model.items()})
    result = cli("rebasin", "a.st", "b.st", "c.st", "--many", many, "-o", "out.st")
    assert result.code == 0, result.err
    wanted, found = load(here / "a.st"), load(here / "out.st")
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6 if dtype is torch.float32 else 1e-2, atol=0)


@pytest.mark.parametrize("many", WAYS)
def test_the_document_and_the_report_tell_how_it_went(models, cli, many):
    result = cli("rebasin", "a.st", "b.st", "c.st", "--many", many, "-o", "out.st", "--report", "report", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["merge"]())
    one, other = (row["about"]["many"] for row in document["alignments"])
    assert (one["way"], one["model"], other["model"]) == (many, 2, 3)
    assert one | {"model": 3} == other
    before, after = (np.array(one[f"distances_{when}"]) for when in ("before", "after"))
    assert after.shape == (3, 3)
    assert (after == after.T).all()
    assert (after.diagonal() == 0).all()
    assert after.sum() < before.sum()
    text = (models / "report" / "report.md").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert f"| {before[0, 1]:.4g} ▸ {after[0, 1]:.4g} |" in text
    if one["rounds"]:
        last = one["rounds"][-1]
        assert (last["stage"], last["changed"]) == ("merge-many", 0)
        assert (
            f"| {len(one['rounds']) - 1} | merge-many | 0 | {last['objective']:.4g} | {last['distance']:.4g} |" in text
        )
    assert bool(one["rounds"]) == (many in {"mean", "universe"})
    if many == "medoid":
        assert after[one["medoid"] - 1].sum() == after.sum(0).min()
        assert f"that is model {one['medoid']}" in text
        assert f"model {one['medoid']} is the medoid" in result.out + result.err


def test_by_activations_the_distances_of_every_pair_are_told_too(models, cli):
    (models / "model.py").write_text(PERCEPTRON)
    given = ("a.st", "b.st", "c.st", "--model", "model.py:Network", "--matching", "activations", "--data", "digits")
    result = cli("rebasin", *given, "--samples", 40, "-o", "out.st", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)["alignments"]
    assert [row["about"]["many"]["way"] for row in found] == ["reference"] * 2
    assert found[0]["about"]["many"]["distances_after"][0][1] == pytest.approx(found[0]["about"]["distance_after"])


def test_the_same_run_writes_the_same_bytes_and_a_second_one_uses_the_orders(models, cli):
    files = []
    for out in ("one.st", "two.st"):
        assert cli("rebasin", "a.st", "b.st", "c.st", "--many", "universe", "-o", out).code == 0
        files.append([path.read_bytes() for path in sorted((models / f"{out}.statistics").iterdir())])
    assert files[0] == files[1]
    (models / "one.st").unlink()
    again = cli("rebasin", "a.st", "b.st", "c.st", "--many", "universe", "-o", "one.st")
    assert "the orders are there already" in again.out + again.err
    (models / "one.st").unlink()
    other = cli("rebasin", "a.st", "b.st", "c.st", "--many", "medoid", "-o", "one.st", "--quiet")
    assert_refused(other, 2, "other orders stand there")


def test_the_shipped_recipe_and_aligned_models_of_any_merge_run(models, cli):
    (models / "rebasin-many.yaml").write_text((ROOT / "recipes" / "rebasin-many.yaml").read_text())
    result = cli("run", "rebasin-many.yaml")
    assert result.code == 0, result.err
    rows = ", ".join(f"{{model: {{align: {name}.st, to: a.st, options: {{many: universe}}}}}}" for name in "bc")
    (models / "median.yaml").write_text(f"merge: soup\nmodels: [a.st, {rows}]\noutput: soup.st\n")
    assert cli("run", "median.yaml").code == 0
    one, other = load(models / "rebasin-many.st"), load(models / "soup.st")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("many", ["medoid", "mean", "universe"])
def test_ways_of_weights_are_refused_where_data_matches(models, cli, many):
    given = ("a.st", "b.st", "c.st", "--matching", "activations", "--data", "digits", "--many", many)
    result = cli("rebasin", *given, "-o", "out.st", "--quiet")
    assert_refused(result, 2, f"'many' of {many} is for matching by weights")


@pytest.mark.parametrize("many", WAYS)
def test_models_that_do_not_fit_are_refused(models, cli, many):
    save(models / "nan.st", state(1) | {"fc1.weight": torch.full((16, 64), float("nan"))})
    save(models / "wide.st", {name: torch.randn(*(2 * size for size in shape)) for name, shape in SHAPES.items()})
    for odd, message in (
        ("nan.st", "fc1.weight"),
        ("wide.st", "models of different widths or depths cannot be aligned"),
    ):
        result = cli("rebasin", "a.st", "b.st", odd, "--many", many, "-o", "out.st", "--quiet")
        assert_refused(result, 1, message)
        assert not (models / "out.st").exists()


@pytest.mark.parametrize("many", WAYS)
def test_two_models_go_every_way(models, cli, many):
    result = cli("rebasin", "a.st", "b.st", "--many", many, "-o", "out.st", "--json")
    assert result.code == 0, result.err
    (row,) = json.loads(result.out)["alignments"]
    assert (row["about"]["many"] is None) == (many != "universe")
