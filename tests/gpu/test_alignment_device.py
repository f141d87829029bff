"""Products of weight matching run on the device that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from stand_in_gpu import StandIn

from merge.alignment.declared import AlignmentOptions
from merge.alignment.matching import products
from merge.completion.matching import Matching
from merge.evaluation.task import Settings


def test_a_gpu_is_used_where_there_is_one_unless_another_device_is_named(stand_in):
    assert products._gpu() == "cuda"
    with products.products_on("cuda:1"):
        assert products._gpu() == "cuda:1"
        with products.products_on("cpu"):
            assert products._gpu() is None
        assert products._gpu() == "cuda:1"
    stand_in.count = 0
    assert products._gpu() is None


@pytest.mark.parametrize(("device", "used"), [("cpu", None), ("cuda:1", "cuda:1")])
@pytest.mark.parametrize("drawn", [None, ("subject", "sample")])
def test_matching_names_the_device_of_the_flag(stand_in, device, used, drawn):
    matching = Matching.__new__(Matching)
    matching._settings, matching._drawn, matching._sources = Settings(device=device), drawn, ["one"]
    matching._options = AlignmentOptions()
    matching._by_weights = lambda: [products._gpu()]  # type: ignore[method-assign]
    matching._by_activations = lambda *_: products._gpu()  # type: ignore[method-assign]
    assert matching.run() == [used]


def test_products_on_a_gpu_are_those_of_the_cpu(stand_in):
    random = np.random.default_rng(0)
    one, other = (random.standard_normal((20, 9000)).astype("f4") for _ in range(2))
    totals = [np.ones((20, 20)) for _ in range(2)]
    products.add_products(totals[0], one, other)
    with StandIn():
        products.add_on_gpu(totals[1], one, other, "cuda:1")
    np.testing.assert_allclose(*totals, rtol=1e-12, atol=1e-9)
