"""Passthrough: one model, scaled."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import assert_same, load, save
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_without_a_factor_every_bit_stays(dtype):
    (model,) = random_models(1, dtype)
    assert_same(merge_states("passthrough", [model]), model)


def test_by_hand():
    model = {"w": torch.tensor([1.0, -2, 0.5])}
    assert merge_states("passthrough", [model], scale=-2.0)["w"].tolist() == [-2, 4, -1]
    assert merge_states("passthrough", [model], scale=0.0)["w"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype):
    assert_equals_reference("passthrough", lambda _, xs: 0.7 * xs[0], dtype, models=1, base=False, scale=0.7)


def test_only_some_tensors_are_scaled(cli, tmp_path):
    path = save(tmp_path / "a.st", {"up": torch.ones(2), "down": torch.ones(2)})
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"merge: passthrough\nmodels: [{path}]\nlayers: [{{match: down, options: {{scale: 0.5}}}}]\n")
    assert cli("run", recipe, "-o", tmp_path / "out.st").code == 0
    found = load(tmp_path / "out.st")
    assert (found["up"].tolist(), found["down"].tolist()) == ([1, 1], [0.5, 0.5])


def test_two_models_are_refused():
    with pytest.raises(UsageError, match="merges"):
        merge_states("passthrough", random_models(2, torch.float32))
