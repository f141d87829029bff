"""The compiled weighted sums: the bytes of the numpy path for every type and instruction set, and its refusals."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
from checkpoint_files import random_state, save

kernels = pytest.importorskip("merge.streaming._kernels", reason="built without a C compiler")

TYPES = {
    "BF16": (ml_dtypes.bfloat16, np.float32),
    "F16": (np.float16, np.float32),
    "F32": (np.float32, np.float64),
}
LEVELS = (0, 1, 2)  # any processor, AVX2, AVX-512; a level that this processor lacks takes the one below
SCALES = (1e-8, 1e-6, 6e-5, 1e-3, 1.0, 100.0)  # subnormal and normal float16 results


def summed(arrays, weights, accumulator):
    total = None
    for array, weight in zip(arrays, weights, strict=True):
        product = array.astype(accumulator)
        product *= weight
        total = product if total is None else total + product
    return total.astype(arrays[0].dtype)


def call(code, arrays, weights, level=2):
    out = bytearray(arrays[0].nbytes)
    finite = kernels.weighted_sum(code, tuple(array.view("u1").data for array in arrays), weights, out, None, level)
    return finite, bytes(out)


@pytest.mark.parametrize(("code", "level"), list(itertools.product(TYPES, LEVELS)))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_instruction_set_gives_the_bytes_of_numpy(code, level, count):
    kind, accumulator = TYPES[code]
    random = np.random.default_rng(count)
    for scale in SCALES:
        arrays = [(random.standard_normal(5003) * scale).astype(np.float32).astype(kind) for _ in range(count)]
        weights = tuple(map(float, random.standard_normal(count)))
        assert call(code, arrays, weights, level) == (True, summed(arrays, weights, accumulator).tobytes())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("weight", [1.0, 0.5, 1 / 3, -1.0, 1e-3, 1e-5, 2.0**-14])
def test_every_finite_float16_and_every_tie_below_it(level, weight):
    halves = np.arange(2**16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    expected = summed([halves], (weight,), np.float32)
    assert call("F16", [halves], (weight,), level) == (True, expected.tobytes())


@pytest.mark.parametrize(("code", "level"), list(itertools.product(TYPES, LEVELS)))
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_told(code, level, bad):
    arrays = [np.ones(2050, np.float32).astype(TYPES[code][0]) for _ in range(2)]
    arrays[1][2049] = bad
    assert call(code, arrays, (0.5, 0.5), level)[0] is False


@pytest.mark.parametrize(("code", "largest"), [("F16", 65504.0), ("BF16", 3.3e38), ("F32", 3.4e38)])
def test_overflow_is_told(code, largest):
    arrays = [np.full(10, largest, np.float32).astype(TYPES[code][0]) for _ in range(2)]
    assert call(code, arrays, (1.0, 1.0))[0] is False
    assert call(code, arrays, (0.5, 0.5))[0] is True


@pytest.mark.parametrize(
    ("code", "buffers", "weights"),
    [("I64", 1, 1), ("BF16", 2, 1), ("BF16", 0, 0), ("BF16", 65, 65)],
)
def test_wrong_calls_are_refused(code, buffers, weights):
    with pytest.raises(ValueError, match="weighted_sum"):
        kernels.weighted_sum(code, (bytearray(4),) * buffers, (1.0,) * weights, bytearray(4))


def test_buffers_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="length"):
        kernels.weighted_sum("BF16", (bytearray(4), bytearray(6)), (1.0, 1.0), bytearray(4))


def test_a_merge_without_them_gives_the_same_file(cli, tmp_path, monkeypatch):
    models = [save(tmp_path / f"{name}.st", random_state(seed)) for seed, name in enumerate("abc")]
    assert cli("soup", *models, "-o", tmp_path / "with.st").code == 0
    monkeypatch.setenv("MERGE_NO_KERNELS", "1")
    assert cli("soup", *models, "-o", tmp_path / "without.st").code == 0
    assert (tmp_path / "with.st").read_bytes() == (tmp_path / "without.st").read_bytes()
