"""Arcee Fusion: quartiles that are entries, the threshold, and a reference in float64."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError
from merge.methods.arcee_fusion import _from_quantile


def importances(base, model):
    base, model = (tensor.reshape(1) if tensor.ndim == 0 else tensor for tensor in (base, model))
    new, old = (torch.softmax(tensor, -1) + 1e-8 for tensor in (model, base))
    divergence = (new * (new / old).log()).sum(-1, keepdim=True).clamp(min=0)
    return (model - base).abs() * divergence


def fusion(base, model):
    found = importances(base, model)
    ordered = found.reshape(-1).sort().values
    low, middle, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    return torch.where((found >= middle + 1.5 * (high - low)).reshape(base.shape), model, base)


@pytest.mark.parametrize(
    ("size", "indices"), [(12, [2, 5, 8]), (1, [0, 0, 0]), (2, [0, 0, 0]), (5, [1, 2, 3]), (101, [25, 50, 75])]
)
def test_quartiles_are_the_lower_entries(size, indices):
    assert [size - count for count in _from_quantile(size, lambda _: None)[0]] == indices


def test_one_row_by_hand():
    # One row has one divergence, so that the changes decide: 0 to 11, quartiles 2, 5 and 8, threshold 5 + 1.5 * 6 = 14.
    changes = torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13.9], dtype=torch.float64) / 16
    base = torch.linspace(-1, 1, 12, dtype=torch.float64)
    assert torch.equal(merged(base, base + changes), base)
    changes[-1] = 14.1 / 16
    wanted = base.clone()
    wanted[-1] += 14.1 / 16
    assert torch.equal(merged(base, base + changes), wanted)


def merged(base, model):
    return merge_states("arcee-fusion", [{"w": model}], {"w": base})["w"]


def test_a_row_that_changes_in_distribution_counts_more():
    base = torch.zeros(9, 4, dtype=torch.float64)
    model = base + torch.tensor([0.5, -0.5, 0.25, -0.25]) * 0.01
    model[4] *= 10
    wanted = base.clone()
    wanted[4] = model[4]  # ten times the change, a hundred times the divergence
    assert torch.equal(merged(base, model), wanted)


def test_a_shifted_row_has_the_same_softmax_and_no_importance():
    base, model = torch.zeros(4, 8, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    model[0] += 3  # no divergence, up to rounding
    model[1, 2] += 1
    found = merged(base, model)
    assert found[1, 2] == 1
    assert torch.equal(merged(base, base), base)


def test_scalars_and_columns_are_rows_of_one_without_divergence():
    base, model = random_models(2, torch.float64)
    found = merge_states("arcee-fusion", [model], base)
    for name in ("scalar", "one", "column"):  # all importances are 0, which is the threshold
        assert torch.equal(found[name], model[name])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype):
    assert_equals_reference("arcee-fusion", lambda base, models: fusion(base, models[0]), dtype, models=1, base=True)


def test_quartiles_are_exact_above_a_million_entries():
    generator = torch.Generator().manual_seed(6)
    base = torch.randn(1100, 1000, generator=generator, dtype=torch.float64)
    model = base + 0.1 * torch.randn(1100, 1000, generator=generator, dtype=torch.float64)
    found, wanted = merged(base, model), fusion(base, model)
    assert (found != base).sum() > 1000
    assert torch.equal(found, wanted)


def test_two_models_are_refused():
    base, one, two = random_models(3, torch.float32)
    with pytest.raises(UsageError, match="merges"):
        merge_states("arcee-fusion", [one, two], base)
