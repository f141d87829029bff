"""DARE against masks drawn here from the documented stream, and what is promised of the masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xxhash
from in_memory import merge_states

from merge.streaming.random_bits import random_floats

SIZE = 200_000


def stream(seed, name, model, count):
    """Return the numbers of one model's tensor, as `Context.uniform` documents them."""
    key = xxhash.xxh3_128_intdigest("\0".join((str(seed), name, "merge", str(model))).encode())
    raw = np.random.Philox(key=key).random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
    return (raw >> 8).astype(np.float64) * 2.0**-24


def merged(taus, **options):
    models = [{"w": tau} for tau in taus]
    return merge_states("dare", models, {"w": torch.zeros_like(taus[0])}, **options)["w"]


def task_vectors(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(SIZE, generator=generator).to(dtype) for _ in range(count)]


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_against_the_documented_stream(density):
    taus = task_vectors(2)
    wanted = sum(
        weight * tau.numpy() * (stream(5, "w", model, SIZE) < density) / density
        for model, (tau, weight) in enumerate(zip(taus, (0.7, -0.4), strict=True))
    )
    found = merged(taus, density=density, weights=[0.7, -0.4], more={"seed": 5})
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-15)


def test_the_stream_is_what_it_was():
    """These numbers must never change: a recipe with a seed has to give its bytes again."""
    assert (random_floats(7, 0, 4) * 2**24).tolist() == [2746875.0, 14630964.0, 16311872.0, 4955408.0]
    whole = random_floats(12345, 0, 1000)
    for first in (0, 1, 7, 8, 9, 500):
        assert (random_floats(12345, first, 100) == whole[first : first + 100]).all()


def test_masks_of_blocks_models_names_and_seeds_differ():
    ones = torch.ones(SIZE, dtype=torch.float64)
    found = merge_states("dare", [{"w": ones, "v": ones}], {"w": ones * 0, "v": ones * 0}, density=0.5, rescale="none")
    kept = found["w"] != 0
    assert abs(kept.double().mean().item() - 0.5) < 0.01
    others = [
        found["v"] != 0,
        merged([ones], density=0.5, more={"seed": 1}) != 0,
        merged([ones * 0, ones], density=0.5) != 0,
        torch.roll(kept, 65536),
    ]
    for other in others:
        assert abs((kept == other).double().mean().item() - 0.5) < 0.01


def test_a_larger_density_keeps_a_superset():
    ones = torch.ones(SIZE, dtype=torch.float64)
    few, many = (merged([ones], density=density) != 0 for density in (0.2, 0.6))
    assert not (few & ~many).any()


def test_rescaling():
    (tau,) = task_vectors(1)
    kept = stream(0, "w", 0, SIZE) < 0.3
    plain = merged([tau], density=0.3, rescale="none").numpy()
    np.testing.assert_array_equal(plain, tau.numpy() * kept)
    factor = np.abs(tau.numpy()).sum() / np.abs(tau.numpy()[kept]).sum()
    np.testing.assert_allclose(merged([tau], density=0.3, rescale="l1").numpy(), plain * factor, rtol=1e-12)
    assert not merged([tau], density=0.0).any()
    assert not merged([tau], density=0.0, rescale="l1").any()


def test_sign_consensus_of_what_is_left():
    one, two = torch.tensor([1.0, 1.0, -2.0, 3.0]), torch.tensor([3.0, -2.0, -4.0, 0.0])
    found = merged([one, two], density=1.0, ties=True)
    assert found.tolist() == [4.0, -2.0, -6.0, 3.0]
    mean = merged([one, two], density=1.0, ties=True, normalize=True)
    assert mean.tolist() == [2.0, -2.0, -3.0, 3.0]
    assert merged([one, two], density=1.0, normalize=True).tolist() == [2.0, -0.5, -3.0, 1.5]


def test_density_one_is_task_arithmetic():
    taus = task_vectors(3, torch.float32)
    base = {"w": torch.ones(SIZE)}
    models = [{"w": tau} for tau in taus]
    found = merge_states("dare", models, base, density=1.0, weights=[0.5, 0.3, 0.2])
    wanted = merge_states("task-arithmetic", models, base, weights=[0.5, 0.3, 0.2])
    torch.testing.assert_close(found["w"], wanted["w"], rtol=1e-7, atol=1e-7)
