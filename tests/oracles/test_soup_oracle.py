"""Worked numbers of the specification (S1), through files and the command line."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import load, save
from in_memory import merge_states, recipe_of, run_recipe

A, B, C = [[1.0, 2], [3, 4]], [[2.0, 0], [-1, 4]], [[0.0, 4], [1, 1]]
UNIFORM, WEIGHTED = [[1.0, 2], [1, 3]], [[1.1, 1.8], [1.4, 3.4]]


@pytest.fixture
def models(tmp_path):
    rows = zip((A, B, C), (7, 8, 12), strict=True)
    return [
        save(tmp_path / f"{name}.st", {"w": torch.tensor(value, dtype=torch.float64), "count": torch.tensor(count)})
        for name, (value, count) in zip("abc", rows, strict=True)
    ]


def test_uniform(cli, models, tmp_path):
    result = cli("soup", *models, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    found = load(tmp_path / "out.st")
    torch.testing.assert_close(found["w"], torch.tensor(UNIFORM, dtype=torch.float64), atol=1e-15, rtol=0)
    assert found["count"].dtype == torch.int64
    assert found["count"].item() == 7


def test_integers_that_disagree_are_reported(cli, models, tmp_path):
    result = cli("soup", *models, "-o", tmp_path / "out.st")
    assert "'count'" in result.err
    assert "copied tensors differ" in result.err


def test_integers_that_agree_are_not_reported(cli, tmp_path):
    same = [save(tmp_path / f"{n}.st", {"w": torch.ones(2) * n, "count": torch.tensor(5)}) for n in (1, 2)]
    assert "warning" not in cli("soup", *same, "-o", tmp_path / "out.st").err


def test_weighted(cli, models, tmp_path):
    assert cli("soup", *models, "--weights", "0.5,0.3,0.2", "-o", tmp_path / "out.st").code == 0
    found = load(tmp_path / "out.st")["w"]
    torch.testing.assert_close(found, torch.tensor(WEIGHTED, dtype=torch.float64), atol=1e-15, rtol=0)


def test_weights_are_not_normalized_unless_asked(cli, models, tmp_path):
    a, b, _ = models
    assert cli("soup", a, b, "--weights", "1,3", "-o", tmp_path / "sum.st").code == 0
    assert cli("soup", a, b, "--weights", "1,3", "--normalize", "-o", tmp_path / "mean.st").code == 0
    wanted = torch.tensor(A, dtype=torch.float64) + 3 * torch.tensor(B, dtype=torch.float64)
    assert torch.equal(load(tmp_path / "sum.st")["w"], wanted)
    assert torch.equal(load(tmp_path / "mean.st")["w"], wanted / 4)


def test_the_base_of_a_soup_is_no_ingredient(models):
    states = [load(path) for path in models]
    found = merge_states("soup", states[1:], states[0])
    assert torch.equal(found["w"], (states[1]["w"] + states[2]["w"]) / 2)
    assert found["count"].item() == 7


def test_batchnorm_statistics_are_averaged_and_counters_copied():
    def state(mean, count):
        names = ("bn.weight", "bn.running_mean", "bn.running_var")
        return {name: torch.full((2,), mean) for name in names} | {"bn.num_batches_tracked": torch.tensor(count)}

    base, one, two = state(0.0, 1), state(1.0, 2), state(4.0, 3)
    found, plan, _ = run_recipe(recipe_of("task-arithmetic", [one, two], base, scale=2.0))
    assert found["bn.weight"].tolist() == [10.0, 10.0]  # the parameter follows the method …
    assert found["bn.running_mean"].tolist() == [2.5, 2.5]  # … the statistics do not
    assert found["bn.running_var"].tolist() == [2.5, 2.5]
    assert found["bn.num_batches_tracked"].item() == 1
    assert any("2 BatchNorm statistics" in warning for warning in plan.warnings)


@pytest.mark.parametrize(("weights", "mean"), [([1.0, 3.0], 3.25), ([2.0, 2.0], 2.5), ([-1.0, 2.0], 2.5)])
def test_batchnorm_statistics_follow_weights_that_are_shares(weights, mean):
    one, two = ({"bn.running_mean": torch.tensor([value])} for value in (1.0, 4.0))
    assert merge_states("soup", [one, two], weights=weights)["bn.running_mean"].item() == mean
