"""The compiled loops over blocks give the bytes of numpy, on every instruction set that this machine has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import assert_same
from in_memory import merge_states

from merge.arithmetic.consensus import agreeing_sum
from merge.streaming import ranks
from merge.streaming.numpy_backend import NumpyBackend

kernels = pytest.importorskip("merge.streaming._kernels")
LEVELS = (0, 1, 2)
TYPES = (np.float32, np.float64)


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setenv("MERGE_NO_KERNELS", "1")
    return NumpyBackend()


def numbers(dtype, size=10_007, seed=0):
    generator = np.random.default_rng(seed)
    array = generator.normal(size=size) * np.exp(generator.normal(size=size) * 3)
    array[::17] = 0
    array[1::34] = -0.0
    return array.astype(dtype)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1024, 10_007])
def test_inner(plain, dtype, size, level):
    first, second = numbers(dtype, size, 1), numbers(dtype, size, 2)
    found = kernels.inner(first, second, level)
    assert found == plain.inner(first, second)
    assert found == pytest.approx(float(np.dot(first.astype(np.longdouble), second.astype(np.longdouble))), rel=1e-10)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", TYPES)
def test_digits(plain, dtype, level):
    array = numbers(dtype)
    top = array.dtype.itemsize * 8 - 16
    prefix = int(np.abs(array[3:4]).view(np.uint64 if top > 16 else np.uint32)[0]) >> top
    for shift, before in ((top, 0), (top - 16, prefix)):
        found, wanted = np.ones(2**16, np.int64), np.ones(2**16, np.int64)
        kernels.add_digits(found, array, shift, before, level)
        plain.add_digits(wanted, array, shift, before)
        assert (found == wanted).all()
        assert found.sum() > 2**16


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", TYPES)
def test_matching(plain, dtype, level):
    array = numbers(dtype)
    shift = array.dtype.itemsize * 8 - 12
    prefix = int(np.abs(array[3:4]).view(np.uint64 if shift > 32 else np.uint32)[0]) >> shift
    out = np.empty_like(array)
    found = out[: kernels.matching(out, array, shift, prefix, level)]
    assert found.tobytes() == plain.matching(array, shift, prefix).tobytes()
    assert 0 < len(found) < len(array)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("comparison", [">=", ">", "<=", "<"])
def test_keep(plain, dtype, comparison, level):
    array = numbers(dtype)
    found, wanted = array.copy(), array.copy()
    bound = float(np.sort(np.abs(array))[len(array) // 2])
    kernels.keep(found, comparison, bound, level)
    plain.keep(wanted, comparison, bound)
    assert found.tobytes() == wanted.tobytes()
    assert 0 < np.count_nonzero(found) < len(found) * 0.6
    assert (bound in np.abs(found)) == ("=" in comparison)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.7, -0.2, 1.3), (1.0, -1.0, 0.0)])
def test_agreeing_sum(dtype, weights, normalize, level):
    arrays, others = ([numbers(dtype, seed=seed) for seed in range(3)] for _ in range(2))
    kernels.agreeing_sum(tuple(arrays), weights, normalize, level)
    wanted = agreeing_sum(others, weights, np, normalize=normalize)
    assert arrays[0].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("dtype", "code"), [(np.float32, "BF16"), (np.float32, "F16"), (np.float64, "F32")])
def test_store(plain, dtype, code, level):
    array = np.concatenate([numbers(dtype) * dtype(1e-3), dtype([1 + 2**-8, 1 + 3 * 2**-8, 2**-24, 1e-7, 65504])])
    found, wanted = (bytearray(len(array) * array.dtype.itemsize // 2) for _ in range(2))
    assert kernels.store(code, array, found, level)
    plain.store(array, code, memoryview(wanted))
    assert found == wanted
    for bad in (np.inf, np.nan, np.finfo(dtype).max):
        assert not kernels.store(code, dtype([1, bad]), bytearray(array.dtype.itemsize), level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("less", [False, True])
@pytest.mark.parametrize(("dtype", "code"), [(np.float32, "BF16"), (np.float32, "F16"), (np.float64, "F32")])
def test_convert(plain, dtype, code, less, level):
    raw = bytearray(10_007 * (dtype().itemsize // 2))
    plain.store(numbers(dtype) * dtype(1e-2), code, memoryview(raw))
    base = numbers(dtype, seed=3) if less else None
    found = np.empty(10_007, dtype)
    kernels.convert(code, raw, base, found, level)
    assert found.tobytes() == plain.load(raw, code, "F32" if dtype == np.float32 else "F64", base).tobytes()


@pytest.mark.parametrize("collected", [0, 100, 2**20])
def test_ranks_however_they_are_found(monkeypatch, collected):
    """Radix passes with a count of equal entries, and sorting what shares the upper bits, give the same masks."""
    torch.manual_seed(0)
    base, *models = ({"w": torch.randn(300_000).bfloat16()} for _ in range(3))
    wanted = merge_states("ties", models, base, density=0.3)
    monkeypatch.setattr(ranks, "COLLECTED", collected)
    assert_same(merge_states("ties", models, base, density=0.3), wanted)


def test_refusals():
    array = np.zeros(4, np.float32)
    with pytest.raises(TypeError):
        kernels.inner(array, np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="one type and length"):
        kernels.inner(array, np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="one type and length"):
        kernels.agreeing_sum((array, np.zeros(4)), (1.0, 1.0), True)
    with pytest.raises(ValueError, match="a weight for each"):
        kernels.agreeing_sum((array,), (), True)
    with pytest.raises(ValueError, match="add_digits"):
        kernels.add_digits(np.zeros(9, np.int64), array, 16, 0)
    with pytest.raises((BufferError, ValueError)):
        kernels.keep(np.zeros(8, np.float32)[::2], ">=", 1.0)
    for comparison in ("", "=", "<<", ">=="):
        with pytest.raises(ValueError, match="none of"):
            kernels.keep(array, comparison, 1.0)
