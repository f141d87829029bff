"""The presets, and how one is fitted to a model of fewer blocks."""

from __future__ import annotations

import math

import pytest
from diffusion_layouts import layout

from merge.diffusion.block_presets import find_preset, fitted, presets
from merge.diffusion.blocks import BLOCKS, blocks_of
from merge.errors import UsageError

NAMED = ("GRAD_V", "GRAD_A", "FLAT_25", "FLAT_75", "WRAP08", "WRAP12", "WRAP14", "WRAP16", "MID12_50", "OUT07", "OUT12")
NAMED += ("RING08_SOFT", "COSINE", "REVERSE_COSINE", "TRUE_CUBIC_HERMITE", "SMOOTHSTEP", "ALL_A", "ALL_B")


def unet(name: str) -> list[float]:
    return [number for block, number in presets()[name].items() if block != "BASE"]


def test_each_has_a_number_for_every_block() -> None:
    assert set(NAMED) <= presets().keys()
    for numbers in presets().values():
        assert tuple(numbers) == BLOCKS[:-1]
        assert all(0 <= number <= 1 for number in numbers.values())


def test_those_with_a_formula_follow_it() -> None:
    steps = [number / 24 for number in range(25)]
    assert unet("GRAD_V") == pytest.approx([abs(1 - 2 * step) for step in steps], abs=1e-9)
    assert unet("GRAD_A") == pytest.approx([1 - abs(1 - 2 * step) for step in steps], abs=1e-9)
    assert unet("COSINE") == pytest.approx([(1 + math.cos(math.pi * step)) / 2 for step in steps])
    assert unet("REVERSE_COSINE") == pytest.approx([(1 - math.cos(math.pi * step)) / 2 for step in steps])
    assert unet("SMOOTHSTEP") == pytest.approx([3 * step**2 - 2 * step**3 for step in steps])


def test_reversed_ones_mirror_the_others() -> None:
    for name, mirrored in [("SMOOTHSTEP", "REVERSE-SMOOTHSTEP"), ("TRUE_CUBIC_HERMITE", "TRUE_REVERSE_CUBIC_HERMITE")]:
        assert unet(mirrored) == pytest.approx([1 - number for number in unet(name)])
    for name in ("SMOOTHSTEP*2", "SMOOTHSTEP*3", "SMOOTHSTEP*4", "SMOOTHSTEP/2", "SMOOTHSTEP/3", "SMOOTHSTEP/4"):
        assert unet(f"R_{name}") == pytest.approx([1 - number for number in unet(name)])


@pytest.mark.parametrize(
    ("name", "found"),
    [("grad_v", "GRAD_V"), ("reverse_smoothstep", "REVERSE-SMOOTHSTEP"), ("SMOOTHSTEP2", "SMOOTHSTEP*2")],
)
def test_spellings(name: str, found: str) -> None:
    assert find_preset(name)[0] == found


def test_an_unknown_one() -> None:
    with pytest.raises(UsageError, match=r"no preset 'GRAD_W'.*GRAD_V"):
        find_preset("GRAD_W")


def test_one_is_spread_over_the_blocks_of_sdxl() -> None:
    blocks = blocks_of(layout("sdxl"))
    assert blocks is not None
    found = fitted(presets()["GRAD_V"], blocks)
    assert tuple(found) == blocks.names[:-1]
    assert found["IN00"] == found["OUT08"] == 1
    assert found["M00"] == 0
    assert found["IN04"] == pytest.approx((presets()["GRAD_V"]["IN05"] + presets()["GRAD_V"]["IN06"]) / 2)
    assert found["IN08"] == found["OUT00"] == pytest.approx(1 / 12)


def test_one_is_as_it_is_for_the_blocks_that_it_was_made_for() -> None:
    blocks = blocks_of(layout("sd2"))
    assert blocks is not None
    assert fitted(presets()["WRAP14"], blocks) == presets()["WRAP14"]
