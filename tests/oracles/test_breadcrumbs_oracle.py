"""Breadcrumbs: which entries are kept, by hand and by sorting, and what becomes of them."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError


def band(vector, density, gamma):
    """The entries that are kept: all ranked by falling magnitude, the first among equals first."""
    size = vector.numel()
    kept, largest = int(density * size), int(gamma * size)
    last = min(kept + largest, size)
    order = torch.argsort(vector.reshape(-1).abs(), descending=True, stable=True)
    mask = torch.zeros(size, dtype=torch.bool)
    mask[order[last - kept : last]] = True
    return torch.where(mask.reshape(vector.shape), vector, 0.0)


def merged(model, **options):
    vector = torch.tensor(model)
    return merge_states("breadcrumbs", [{"w": vector}], {"w": torch.zeros_like(vector)}, **options)["w"].tolist()


TEN = [1.0, -2, 3, -4, 5, -6, 7, -8, 9, -10]


def test_by_hand():
    assert merged(TEN, density=0.5, gamma=0.2) == [0, 0, 0, -4, 5, -6, 7, -8, 0, 0]
    assert merged(TEN, density=0.5, gamma=0.0) == [0, 0, 0, 0, 0, -6, 7, -8, 9, -10]
    assert merged(TEN, density=0.5, gamma=0.9) == [1, -2, 3, -4, 5, 0, 0, 0, 0, 0]  # the density holds
    assert merged(TEN, density=0.05, gamma=0.5) == [0] * 10  # int(.5) entries
    assert merged(TEN, density=1.0, gamma=0.5) == TEN
    assert merged(TEN, density=0.0) == [0] * 10


def test_equal_magnitudes_are_ranked_by_their_place():
    # Ranks: 3 at 4; then the 2s at 0, 1, 2, 3, 5. The largest two are dropped, two kept.
    assert merged([2.0, -2, 2, 2, 3, -2], density=0.4, gamma=0.34) == [0, -2, 2, 0, 0, 0]
    assert merged([0.0, 0, 0, 5], density=0.5, gamma=0.25) == [0, 0, 0, 0]


def test_a_scalar_is_dropped_unless_everything_is_kept():
    assert merged(3.0, density=0.9) == 0
    assert merged(3.0, density=1.0) == 3


def test_two_models_with_and_without_signs():
    one, two = {"w": torch.tensor([4.0, 1, 0.5, 9])}, {"w": torch.tensor([-1.0, 2, 8, 0.25])}
    base = {"w": torch.zeros(4)}
    options = {"density": 0.5, "gamma": 0.25}  # kept: 4 and 1, then 2 and -1
    assert merge_states("breadcrumbs", [one, two], base, **options)["w"].tolist() == [3, 3, 0, 0]
    assert merge_states("breadcrumbs", [one, two], base, ties=True, **options)["w"].tolist() == [4, 3, 0, 0]
    mean = merge_states("breadcrumbs", [one, two], base, ties=True, normalize=True, scale=2.0, **options)["w"]
    assert mean.tolist() == [8, 3, 0, 0]


@pytest.mark.parametrize(("density", "gamma"), [(0.3, 0.1), (0.9, 0.01), (0.8, 0.5)])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype, ties, density, gamma):
    weights = [0.5, 0.25, -0.125]  # exact in binary: rounding decides no sign

    def reference(base, models):
        shares = [w * band(model - base, density, gamma) for w, model in zip(weights, models, strict=True)]
        total = sum(shares)
        if ties:
            sign = torch.where(total >= 0, 1.0, -1.0)
            total = sum(torch.where(share.sign() == sign, share, 0.0) for share in shares)
        return base + 0.9 * total

    options = {"weights": weights, "density": density, "gamma": gamma, "ties": ties, "scale": 0.9}
    assert_equals_reference("breadcrumbs", reference, dtype, models=3, base=True, **options)


@pytest.mark.parametrize("size", [65_536, 70_001, 200_000])
def test_exactly_so_many_are_kept_of_tensors_beyond_blocks(size):
    vector = torch.randint(1, 9, (size,), generator=torch.Generator().manual_seed(size)).to(torch.bfloat16)
    found = merge_states("breadcrumbs", [{"w": vector}], {"w": torch.zeros_like(vector)}, density=0.3, gamma=0.07)["w"]
    assert torch.equal(found.double(), band(vector.double(), 0.3, 0.07))


def test_every_model_may_have_its_own_band():
    base, one, two = random_models(3, torch.float64)
    own = {"density": [0.2, 0.6], "gamma": [0.1, 0.3]}
    found = merge_states("breadcrumbs", [one, two], base, per_model=own)
    for name, start in base.items():
        wanted = start + band(one[name] - start, 0.2, 0.1) + band(two[name] - start, 0.6, 0.3)
        torch.testing.assert_close(found[name], wanted, rtol=1e-14, atol=1e-14)


def test_weights_that_cannot_be_normalized_are_refused():
    base, one, two = random_models(3, torch.float32)
    with pytest.raises(UsageError, match="sum to 0"):
        merge_states("breadcrumbs", [one, two], base, weights=[1.0, -1.0], normalize=True)
