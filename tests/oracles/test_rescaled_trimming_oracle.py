"""TIES and Breadcrumbs whose kept entries make up for what was trimmed: by hand, and against plain arithmetic."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states

from merge.engine import RunSettings

ZERO = {"w": torch.zeros(4)}
ONE = {"w": torch.tensor([4.0, -3.0, 2.0, 1.0])}  # of the magnitudes, which sum to 10, ties at .5 keeps 4 and 3
TWO = {"w": torch.tensor([8.0, 1.0, 1.0, -6.0])}  # of 16, it keeps 8 and 6


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("none", [4.0, -3.0, 0.0, 0.0]),
        ("density", [8.0, -6.0, 0.0, 0.0]),
        ("l1", [40 / 7, -30 / 7, 0.0, 0.0]),
    ],
)
def test_one_model_by_hand(how, expected):
    found = merge_states("ties", [ONE], ZERO, density=0.5, rescale=how)["w"]
    torch.testing.assert_close(found, torch.tensor(expected))
    found = merge_states("breadcrumbs", [ONE], ZERO, density=0.5, gamma=0.0, rescale=how)["w"]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_each_model_by_its_own_factor():
    found = merge_states("ties", [ONE, TWO], ZERO, density=0.5, normalize=False, rescale="l1")["w"]
    torch.testing.assert_close(found, torch.tensor([40 / 7 + 128 / 14, -30 / 7, 0, -96 / 14]))


def test_a_model_that_is_kept_in_full_is_left_as_it_is():
    found = merge_states("ties", [ONE, TWO], ZERO, per_model={"density": [1.0, 0.5]}, normalize=False, rescale="l1")
    torch.testing.assert_close(found["w"], torch.tensor([4 + 128 / 14, -3, 2, -96 / 14]))


def test_nothing_is_made_up_for_where_nothing_is_kept():
    for how in ("density", "l1"):
        assert merge_states("ties", [ONE], ZERO, density=0.0, rescale=how)["w"].tolist() == [0.0] * 4
        assert merge_states("ties", [dict(ZERO)], ZERO, density=0.5, rescale=how)["w"].tolist() == [0.0] * 4


@pytest.mark.parametrize("scope", ["tensor", "checkpoint"])
def test_norms_are_those_of_the_tensor_over_many_portions(scope):
    generator = torch.Generator().manual_seed(3)
    model = {name: torch.randn(700, 257, generator=generator) for name in ("one", "two")}
    base = {name: torch.zeros(700, 257) for name in model}
    options = {"density": 0.3, "trim_scope": scope}
    plain = merge_states("ties", [model], base, **options)
    settings = RunSettings(chunk_elements=65536, threads=2)
    found = merge_states("ties", [model], base, **options, rescale="l1", settings=settings)
    for name, kept in plain.items():
        factor = model[name].double().abs().sum() / kept.double().abs().sum()
        torch.testing.assert_close(found[name], (kept * factor).float(), rtol=1e-6, atol=0)
        torch.testing.assert_close(found[name].double().abs().sum(), model[name].double().abs().sum())
