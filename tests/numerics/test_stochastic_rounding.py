"""Stochastic rounding of single numbers: two neighbours only, the right one as often as it should be."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from merge.dtypes import numpy_dtype
from merge.streaming import stochastic
from merge.streaming.narrowing import GRIDS, LARGEST
from merge.streaming.rounding import rounded
from merge.streaming.stochastic import Draws, drawn, store_drawn

TYPES = sorted(GRIDS)
WIDE = [np.float32, np.float64]
COUNT = 400_000


def grid(dtype: str) -> np.ndarray:
    """Return every finite number of a type in float64, in order, each once."""
    kind = numpy_dtype(dtype)
    bits = np.arange(2 ** (8 * kind.itemsize), dtype=np.uint32).astype(f"u{kind.itemsize}")
    with np.errstate(invalid="ignore"):
        numbers = bits.view(kind).astype(np.float64)
    return np.unique(numbers[np.isfinite(numbers)])


def random_numbers(dtype: str, wide: Any, count: int = 50_000) -> np.ndarray:
    """Return numbers of all magnitudes of a type, subnormal ones and less included, none beyond its largest."""
    generator = np.random.default_rng(0)
    digits, lowest = GRIDS[dtype]
    least, most = max(lowest - digits - 8, -300 if wide is np.float64 else -140), np.log2(LARGEST[dtype])
    numbers = np.exp2(generator.uniform(least, most - 0.01, count)) * generator.choice([-1.0, 1.0], count)
    return numbers.astype(wide)


def uniform(count: int, seed: int = 1) -> np.ndarray:
    return Draws(seed, "w").at(0, count)


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("dtype", TYPES)
def test_only_the_two_neighbours_come_out(dtype: str, wide: Any) -> None:
    numbers, all_of_them = random_numbers(dtype, wide), grid(dtype)
    found = drawn(numbers, dtype, uniform(len(numbers))).astype(np.float64)
    below = all_of_them[np.searchsorted(all_of_them, numbers.astype(np.float64), "right") - 1]
    above = all_of_them[np.searchsorted(all_of_them, numbers.astype(np.float64), "left")]
    assert ((found == below) | (found == above)).all()
    between = below < above
    assert 0.2 < (found == above)[between].mean() < 0.8


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_of_the_type_stay_whatever_is_drawn(dtype: str, wide: Any) -> None:
    numbers = grid(dtype).astype(wide)
    for draw in (0.0, 0.5, 1 - 2**-24):
        found = drawn(numbers, dtype, np.full(len(numbers), draw, np.float32)).astype(wide)
        assert (found == numbers).all()
    zeros = drawn(np.array([0.0, -0.0], wide), dtype, uniform(2))
    assert (zeros.astype(wide) == 0).all()


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.99])
def test_the_mean_is_kept(dtype: str, wide: Any, part: float) -> None:
    """Of numbers at one place between two neighbours, normal ones and subnormal ones: within 5 standard deviations."""
    numbers = grid(dtype)
    step_from = [np.searchsorted(numbers, 1.0), np.searchsorted(numbers, 0.0)]
    for place in step_from:
        low, high = numbers[place], numbers[place + 1]
        value = wide(low + part * (high - low))
        exact = (float(value) - low) / (high - low)
        found = drawn(np.full(COUNT, value, wide), dtype, uniform(COUNT)).astype(np.float64)
        share = (found == high).mean()
        assert abs(share - exact) < 5 * np.sqrt(exact * (1 - exact) / COUNT)


@pytest.mark.parametrize("dtype", TYPES)
def test_the_chance_is_exact_over_all_draws(dtype: str) -> None:
    """Of float32 between two normal neighbours, as many of 2^12 evenly spaced draws go up as the distance says."""
    digits, _ = GRIDS[dtype]
    draws = (np.arange(4096) / 4096).astype(np.float32)
    for number in (1, 17, 2048, 4095):
        value = np.float32(1 + number / 4096 * 2.0 ** (1 - digits))
        found = drawn(np.full(4096, value), dtype, draws).astype(np.float32)
        assert (found > value).sum() == number


def test_both_ways_to_bfloat16_give_the_same_bits() -> None:
    numbers = np.concatenate([random_numbers("BF16", np.float32), np.float32([0, -0.0, 1, 2**-149, -(2**-133)])])
    draws = uniform(len(numbers))
    quick = stochastic._cut_off(numbers, draws)
    assert (quick.view(np.uint16) == stochastic._on_grid(numbers, "BF16", draws).view(np.uint16)).all()
    assert (quick.view(np.uint16) == drawn(numbers.astype(np.float64), "BF16", draws).view(np.uint16)).all()


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("dtype", TYPES)
def test_what_has_no_upper_neighbour_is_rounded_to_nearest(dtype: str, wide: Any) -> None:
    large = LARGEST[dtype]
    with np.errstate(over="ignore"):
        numbers = np.array([large * (1 + 2**-12), large * 1.5, np.inf, np.nan, 0.3], wide)
        numbers = np.concatenate([numbers, -numbers])
    found = drawn(numbers, dtype, np.full(len(numbers), 0.999, np.float32))
    assert found[[0, 1, 2, 3, 5, 6, 7, 8]].tobytes() == rounded(numbers, dtype)[[0, 1, 2, 3, 5, 6, 7, 8]].tobytes()
    assert np.isnan(found.astype(np.float64)[[3, 8]]).all()


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F8_E4M3"])
def test_a_tensor_in_parts_gives_the_bytes_of_the_whole(dtype: str) -> None:
    numbers = random_numbers(dtype, np.float32, 200_003)
    width = numpy_dtype(dtype).itemsize
    whole, parts = (bytearray(len(numbers) * width) for _ in range(2))
    store_drawn(numbers, dtype, memoryview(whole), Draws(3, "w"), 0)
    for start, stop in ((0, 7), (7, 65_536), (65_536, 65_537), (65_537, 200_003)):
        raw = memoryview(parts)[start * width : stop * width]
        store_drawn(numbers[start:stop], dtype, raw, Draws(3, "w"), start)
    assert whole == parts


def test_seed_and_name_decide() -> None:
    draws = {key: Draws(*key).at(0, 1000).tobytes() for key in ((0, "w"), (1, "w"), (0, "v"))}
    assert len(set(draws.values())) == 3
    assert Draws(0, "w").at(0, 1000).tobytes() == draws[0, "w"]


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_knows_these_numbers(dtype: str) -> None:
    """The table of the types agrees with two other libraries."""
    from merge.dtypes import torch_dtype

    assert torch.finfo(torch_dtype(dtype)).max == LARGEST[dtype] == float(ml_dtypes.finfo(numpy_dtype(dtype)).max)
    digits, lowest = GRIDS[dtype]
    assert torch.finfo(torch_dtype(dtype)).tiny == 2.0**lowest
    assert torch.finfo(torch_dtype(dtype)).eps == 2.0 ** (1 - digits)
