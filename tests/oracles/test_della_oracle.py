"""DELLA: shares by rank within rows, what is kept and how it is rescaled, in numbers and on average."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError

PLAIN = {"ties": False, "normalize": False}


def shares_by_rank(vector, density, epsilon):
    """How likely every entry is kept, rows being those along the last axis."""
    rows = vector.reshape(-1, vector.shape[-1] if vector.ndim else 1)
    length = rows.shape[1]
    if length == 1:
        return torch.full_like(vector, density)
    # The later of equal magnitudes is the smaller.
    order = length - 1 - torch.argsort(rows.abs().flip(1), dim=1, stable=True)
    ranks = torch.empty_like(rows)
    ranks.scatter_(1, order, torch.arange(length, dtype=rows.dtype).expand_as(rows).contiguous())
    return (density - epsilon + 2 * epsilon * ranks / (length - 1)).reshape(vector.shape)


def kept(vector, seed=0, **options):
    """DELLA of one model: the task vector as it comes out."""
    state = {"w": vector}
    return merge_states("della", [state], {"w": torch.zeros_like(vector)}, more={"seed": seed}, **(PLAIN | options))[
        "w"
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(50, 40), (300,), (3, 5, 6, 7), (40, 1)])
def test_what_is_kept_is_divided_by_its_own_share(shape, dtype):
    vector = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    found = kept(vector, density=0.6, epsilon=0.3).double()
    wanted = vector.double() / shares_by_rank(vector.double(), 0.6, 0.3)
    stays = found != 0
    assert 0.4 < stays.double().mean() < 0.8
    torch.testing.assert_close(found[stays], wanted[stays], rtol=max(torch.finfo(dtype).eps, 1e-15), atol=0)


def test_shares_follow_the_ranks():
    vector = torch.arange(1, 12).repeat(4000, 1).to(torch.float64)[:, [4, 9, 0, 7, 2, 10, 5, 1, 8, 3, 6]]
    stays = (kept(vector, density=0.5, epsilon=0.4) != 0).double().mean(0)
    wanted = shares_by_rank(vector[:1], 0.5, 0.4)[0]
    assert wanted.sort().values.tolist() == pytest.approx([0.1 + 0.08 * rank for rank in range(11)])
    assert (stays - wanted).abs().max() < 4 * (0.25 / 4000) ** 0.5


def test_rescaling_by_shares_keeps_the_expectation_and_l1_the_norm():
    vector = torch.randn(300, 200, generator=torch.Generator().manual_seed(3), dtype=torch.float64).abs()
    by_share, by_norm, plain = (kept(vector, rescale=rescale) for rescale in ("density", "l1", "none"))
    assert by_share.mean().item() == pytest.approx(vector.mean().item(), rel=0.01)
    assert by_norm.sum().item() == pytest.approx(vector.sum().item(), rel=1e-12)
    assert set(plain[plain != 0].tolist()) <= set(vector.reshape(-1).tolist())
    assert torch.equal(by_share != 0, plain != 0)
    assert torch.equal(by_norm != 0, plain != 0)


def test_the_seed_decides():
    vector = torch.ones(30, 30)
    assert torch.equal(kept(vector, seed=1), kept(vector, seed=1))
    assert not torch.equal(kept(vector, seed=1), kept(vector, seed=2))


def test_no_epsilon_is_dare():
    vector = torch.randn(40, 30, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    state, base = {"w": vector}, {"w": torch.zeros_like(vector)}
    dare = merge_states("dare", [state], base, density=0.3)["w"]
    torch.testing.assert_close(kept(vector, density=0.3, epsilon=0.0), dare, rtol=1e-6, atol=0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_density_of_one_keeps_everything(dtype, ties):
    weights = [0.5, 0.25, 0.375]  # exact in binary: rounding decides no sign

    def reference(base, models):
        shares = [w * (model - base) for w, model in zip(weights, models, strict=True)]
        sign = torch.where(sum(shares) >= 0, 1.0, -1.0)
        agree = [share.sign() == sign if ties else torch.ones_like(sign, dtype=torch.bool) for share in shares]
        total = sum(torch.where(good, share, 0.0) for good, share in zip(agree, shares, strict=True))
        divisor = sum(good * w for good, w in zip(agree, weights, strict=True))
        return base + 0.8 * total / torch.where(divisor == 0, 1.0, divisor)

    options = {"weights": weights, "density": 1.0, "ties": ties, "scale": 0.8}
    assert_equals_reference("della", reference, dtype, models=3, base=True, **options)


def test_densities_of_zero_one_and_between():
    base, one, two, three = random_models(4, torch.float64)
    densities = {"density": [0.0, 1.0, 0.5]}
    found = merge_states("della", [one, two, three], base, per_model=densities, **PLAIN)
    for name, start in base.items():
        third = found[name] - two[name]  # the first is dropped, the second whole
        whole = (three[name] - start) / shares_by_rank(three[name] - start, 0.5, 0.15)
        nothing = third.abs() < 1e-12
        torch.testing.assert_close(third[~nothing], whole[~nothing], rtol=1e-12, atol=1e-12)
    nothing = merge_states("della", [one, two], base, density=0.0)
    assert all(torch.equal(nothing[name], base[name]) for name in base)


@pytest.mark.parametrize("rescale", ["density", "l1", "none"])
def test_scalars_and_columns_are_kept_with_the_density(rescale):
    column = kept(torch.ones(4000, 1), density=0.3, epsilon=0.2, rescale=rescale)
    assert abs((column != 0).double().mean().item() - 0.3) < 0.04
    scalars = [kept(torch.tensor(2.0), seed=seed, density=0.3, epsilon=0.2, rescale=rescale) for seed in range(40)]
    stays = pytest.approx(2 / 0.3 if rescale == "density" else 2.0)
    found = {value.item() for value in scalars}
    assert sorted(found) == [0.0, stays]


@pytest.mark.parametrize(("density", "epsilon"), [(0.15, 0.15), (0.1, 0.15), (0.85, 0.15), (0.9, 0.15), (0.5, 0.5)])
def test_shares_outside_of_zero_to_one_are_refused(density, epsilon):
    base, one = random_models(2, torch.float32)
    with pytest.raises(UsageError, match="density"):
        merge_states("della", [one], base, density=density, epsilon=epsilon)


def test_weights_that_cannot_be_normalized_are_refused():
    base, one, two = random_models(3, torch.float32)
    with pytest.raises(UsageError, match="sum to 0"):
        merge_states("della", [one, two], base, weights=[1.0, -1.0], ties=False)
