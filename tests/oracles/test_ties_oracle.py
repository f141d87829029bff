"""TIES worked by hand, ties in magnitude included, and against a plain reference bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from reference import largest, ties, widen

from merge.engine import RunSettings

ZERO = {"w": torch.zeros(4, 4)}
ONE = {"w": torch.tensor([[5.0, -5, 5, 1], [4, 4, -4, 4], [0, 2, -3, 3], [1, 1, 1, 1]])}
TWO = {"w": torch.tensor([[-1.0, -6, 2, 9], [8, -8, 8, 1], [3, -3, 3, 0], [7, 2, 2, 2]])}


def kept(array: torch.Tensor, density: float) -> list[int]:
    """Return which entries of one task vector survive: TIES of one model keeps exactly those."""
    found = merge_states("ties", [{"w": array}], {"w": torch.zeros_like(array)}, density=density)["w"]
    assert torch.equal(found[found != 0], array[found != 0])
    return found.reshape(-1).nonzero().reshape(-1).tolist()


def test_four_by_four_by_hand():
    # int(.4 * 16) = 6 kept. One: the 5s at 0, 1, 2, then of the 4s at 4, 5, 6, 7 the first three.
    # Two: 9 at 3, the 8s at 4, 5, 6, 7 at 12, 6 at 1.
    # Agreement: 0: 5. 1: (-5, -6). 2: 5. 3: 9. 4: (4, 8). 5: 4 - 8 < 0, so -8. 6: -4 + 8 > 0, so 8. 12: 7.
    found = merge_states("ties", [ONE, TWO], ZERO, density=0.4)["w"]
    assert found.tolist() == [[5, -5.5, 5, 9], [6, -8, 8, 0], [0, 0, 0, 0], [7, 0, 0, 0]]


def test_weights_vote_and_share():
    # With weights 3 and 1: 4: (12 + 8)/4. 5: 12 - 8 > 0, so 12/3. 6: -12 + 8 < 0, so -12/3. 1: (-15 - 6)/4.
    found = merge_states("ties", [ONE, TWO], ZERO, density=0.4, weights=[3.0, 1.0])["w"]
    assert found.tolist() == [[5, -5.25, 5, 9], [5, 4, -4, 0], [0, 0, 0, 0], [7, 0, 0, 0]]


def test_a_negative_weight_flips_the_vote():
    # Weights 1 and -2. 1: -5 + 12 > 0, so 12/-2. 4: 4 - 16 < 0, so -16/-2. 5: 4 + 16 > 0, both: 20/(1 - 2).
    # 6: -4 - 16 < 0, both: -20/-1. 3: -18/-2. 12: -14/-2.
    found = merge_states("ties", [ONE, TWO], ZERO, density=0.4, weights=[1.0, -2.0])["w"]
    assert found.tolist() == [[5, -6, 5, 9], [8, -20, 20, 0], [0, 0, 0, 0], [7, 0, 0, 0]]


def test_sum_instead_of_mean_and_scale():
    found = merge_states("ties", [ONE, TWO], ZERO, density=0.4, normalize=False, scale=0.5)["w"]
    assert found.tolist() == [[2.5, -5.5, 2.5, 4.5], [6, -4, 4, 0], [0, 0, 0, 0], [3.5, 0, 0, 0]]


def test_opposite_equal_votes_count_as_plus():
    one, two = {"w": torch.tensor([2.0, -2])}, {"w": torch.tensor([-2.0, 2])}
    assert merge_states("ties", [one, two], {"w": torch.zeros(2)}, density=1.0)["w"].tolist() == [2, 2]


def test_zeros_neither_vote_nor_count():
    models = [{"w": torch.tensor([value])} for value in (0.0, 0.0, 6.0)]
    assert merge_states("ties", models, {"w": torch.zeros(1)}, density=1.0)["w"].tolist() == [6]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 16, 1000, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("density", [0.0001, 0.2, 0.29, 0.5, 0.999])
def test_exactly_so_many_are_kept_and_the_first_of_equals(size, density):
    array = torch.full((size,), -3.0)
    array[size // 2] = 5.0
    found = kept(array, density)
    count = max(1, int(density * size))
    rest = [index for index in range(size) if index != size // 2][: count - 1]
    assert found == sorted([*rest, size // 2])


def test_density_one_keeps_everything():
    assert kept(torch.tensor([1.0, -2, 0.5]), 1.0) == [0, 1, 2]


def test_one_element_and_scalar_tensors_are_never_trimmed_away():
    base = {"one": torch.zeros(1), "scalar": torch.tensor(1.0), "none": torch.zeros(0, 2)}
    model = {"one": torch.tensor([2.0]), "scalar": torch.tensor(5.0), "none": torch.zeros(0, 2)}
    found = merge_states("ties", [model], base)
    assert (found["one"].item(), found["scalar"].item(), found["none"].shape) == (2.0, 5.0, (0, 2))


def test_trimming_over_the_checkpoint_by_hand():
    model = {"a": torch.tensor([9.0, 1, 1]), "b": torch.tensor([3.0, 1, 8, 1, 1, 1, 1])}
    base = {name: torch.zeros_like(value) for name, value in model.items()}
    found = merge_states("ties", [model], base, density=0.5, trim_scope="checkpoint")
    assert found["a"].tolist() == [9, 1, 1]  # 9, 8 and 3, then the first two of the 1s
    assert found["b"].tolist() == [3, 0, 8, 0, 0, 0, 0]
    found = merge_states("ties", [model], base, density=0.5)
    assert found["a"].tolist() == [9, 0, 0]  # one of three, three of seven
    assert found["b"].tolist() == [3, 1, 8, 0, 0, 0, 0]


def coarse(generator: torch.Generator, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return numbers on a coarse grid, so that magnitudes are equal very often."""
    return (torch.randint(-24, 25, shape, generator=generator) / 16).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("density", [0.05, 0.2, 0.73])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.7, -0.4, 1.3]])
@pytest.mark.parametrize("normalize", [True, False])
def test_against_the_reference_bit_for_bit(dtype, density, weights, normalize):
    generator = torch.Generator().manual_seed(1)
    shapes = {"w": (37, 53), "v": (11,), "s": (), "fine": (400, 200)}
    make = {name: coarse if name != "fine" else smooth for name in shapes}
    base, *models = ({n: make[n](generator, shape, dtype) for n, shape in shapes.items()} for _ in range(4))
    options = {"density": density, "scale": 0.9, "normalize": normalize}
    found = merge_states("ties", models, base, weights=weights, **options)
    for name in shapes:
        wanted = ties(base[name], [model[name] for model in models], weights, **options)
        assert equal_bits(found[name], wanted), name


def smooth(generator: torch.Generator, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


SETTINGS = [RunSettings(threads=1, chunk_elements=65536), RunSettings(threads=3, chunk_elements=524288)]


@pytest.mark.parametrize("settings", SETTINGS, ids=["one-thread", "three-threads"])
@pytest.mark.parametrize("scope", ["tensor", "checkpoint"])
def test_tensors_beyond_blocks_and_pieces(settings, scope):
    generator = torch.Generator().manual_seed(2)
    shapes = {"small": (70_001,), "large": (4 * 2**20 + 3,), "end": (131_072,)}
    base, one, two = ({n: coarse(generator, s, torch.bfloat16) for n, s in shapes.items()} for _ in range(3))
    found = merge_states("ties", [one, two], base, settings=settings, density=0.37, trim_scope=scope)
    masks = dict.fromkeys(shapes) if scope == "tensor" else over_checkpoint(base, [one, two], 0.37)
    for name in shapes:
        wanted = ties(base[name], [one[name], two[name]], [1.0, 1.0], 0.37, masks=masks[name])
        assert equal_bits(found[name], wanted), name


def over_checkpoint(base, models, density):
    """Return the masks per tensor and model when all tensors are ranked together, in their order."""
    borders = np.cumsum([value.numel() for value in base.values()])[:-1]
    kind = np.dtype("f4")
    whole = [
        np.concatenate([np.abs(widen(m[n], kind) - widen(base[n], kind)).reshape(-1) for n in base]) for m in models
    ]
    split = [np.split(largest(magnitudes, density), borders) for magnitudes in whole]
    return {name: [parts[number] for parts in split] for number, name in enumerate(base)}
