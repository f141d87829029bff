"""Nearswap: the formula with its factor k, as it was published, against our shorter one."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError


def test_by_hand():
    base, model = {"w": torch.tensor([1.0, 1, 1, 1])}, {"w": torch.tensor([1.25, 2, -3, 1])}
    # Closer than .5: taken over. Further: moved by .5.
    assert merge_states("nearswap", [model], base, t=0.5)["w"].tolist() == [1.25, 1.5, 0.5, 1]


@pytest.mark.parametrize("t", [1e-9, 0.1, 1.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_formula_with_a_factor(dtype, t):
    def reference(base, models):
        distance = (models[0] - base).abs()
        k = torch.where(distance > 0, t / distance, 1.0).clamp(0, 1)
        return (1 - k) * base + k * models[0]

    assert_equals_reference("nearswap", reference, dtype, models=1, base=True, t=t)


def test_none_and_all():
    base, model = random_models(2, torch.float64)
    nothing, everything = (merge_states("nearswap", [model], base, t=t) for t in (0.0, 100.0))
    for name in base:
        assert torch.equal(nothing[name], base[name])
        torch.testing.assert_close(everything[name], model[name], rtol=1e-15, atol=1e-15)


def test_two_models_are_refused():
    with pytest.raises(UsageError, match="merges"):
        merge_states("nearswap", random_models(2, torch.float32), random_models(1, torch.float32)[0])
