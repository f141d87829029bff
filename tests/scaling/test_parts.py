"""Random parts of tensors: every entry in one of them, whatever is done in chunks beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scaling.scaling_case import task_vectors

import merge
from merge.engine import RunSettings
from merge.streaming.parts import MOST_PARTS, parts_of


@pytest.mark.parametrize("count", [1, 2, 3, 7, MOST_PARTS])
def test_every_entry_lies_in_one_part_and_parts_are_alike(count):
    found = parts_of("w", 200_000, count, 0)
    sizes = np.bincount(found, minlength=count)
    assert len(sizes) == count
    assert sizes.sum() == 200_000
    assert np.abs(sizes - 200_000 / count).max() < 6 * (200_000 / count) ** 0.5 + 1


def test_parts_follow_from_name_and_seed_alone():
    assert np.array_equal(parts_of("w", 50, 4, 3), parts_of("w", 500, 4, 3)[:50])
    assert not np.array_equal(parts_of("w", 500, 4, 3), parts_of("v", 500, 4, 3))
    assert not np.array_equal(parts_of("w", 500, 4, 3), parts_of("w", 500, 4, 4))


SHAPES = {"matrix": (30, 70), "vector": (11,), "scalar": (), "long": (150_001,), "cube": (2, 3, 4)}


def states():
    generator = torch.Generator().manual_seed(0)
    draw = lambda: {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}  # noqa: E731
    return draw(), [draw(), draw()]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_engine_has_the_parts_of_the_search_for_tensors_of_any_shape(threads, dtype):
    base, models = states()
    base, models = ({n: t.to(dtype) for n, t in base.items()}, [{n: t.to(dtype) for n, t in m.items()} for m in models])
    values = torch.randn(2, len(SHAPES), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    statistics = [{name: values[model, block] for block, name in enumerate(SHAPES)} for model in range(2)]
    found = merge.merge_state_dicts(
        models, method="atlas", base=base, statistics=statistics, parts_seed=7, settings=RunSettings(threads=threads)
    )
    with task_vectors(base, models, seed=7) as vectors:
        wanted = vectors.scaled(values, rounded=True)
    for name, tensor in found.items():
        assert torch.equal(tensor.float(), wanted[name]), name


def test_by_hand():
    base, models = states()
    values = [0.25, -1.0]
    statistics = [{"vector": torch.tensor(values)}, {"vector": torch.tensor([0.5, 2.0])}]
    found = merge.merge_state_dicts(models, method="atlas", base=base, statistics=statistics)
    parts = parts_of("vector", 11, 2, 0)
    first, second = (model["vector"] - base["vector"] for model in models)
    for entry, part in enumerate(parts.tolist()):
        wanted = base["vector"][entry] + values[part] * first[entry] + (0.5, 2.0)[part] * second[entry]
        assert found["vector"][entry].item() == pytest.approx(wanted.item(), abs=1e-6)
    assert torch.equal(found["matrix"], base["matrix"])


def test_models_with_other_numbers_of_parts_are_refused():
    base, models = states()
    statistics = [{"vector": torch.ones(2)}, {"vector": torch.ones(3)}]
    with pytest.raises(merge.MergeError, match=r"'vector' have shape \[3\] instead of \[2\]"):
        merge.merge_state_dicts(models, method="atlas", base=base, statistics=statistics)


def test_coefficients_that_are_a_matrix_are_refused():
    base, models = states()
    statistics = [{"vector": torch.ones(2, 2)}] * 2
    with pytest.raises(merge.MergeError, match="instead of"):
        merge.merge_state_dicts(models, method="atlas", base=base, statistics=statistics)
