"""Bit equality with plain accumulation and one rounding to nearest even, for every floating type."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from checkpoint_files import assert_same, equal_bits, load, save
from in_memory import merge_states
from reference import rounded, soup, task_arithmetic

from merge.dtypes import DTYPES, numpy_dtype, torch_dtype
from merge.streaming.half import half_to_single
from merge.streaming.numpy_backend import NumpyBackend
from merge.streaming.torch_backend import TorchBackend

FLOATS = [code for code, dtype in DTYPES.items() if dtype.kind == "float"]
NARROW = [code for code in FLOATS if DTYPES[code].bits <= 16]
WEIGHTS = [0.7, -0.2, 0.45]


def all_finite(code: str) -> torch.Tensor:
    """Return every finite number of a type of 16 bits or fewer, subnormal numbers and both zeros included."""
    narrow = {8: torch.int8, 16: torch.int16}[DTYPES[code].bits]
    bits = torch.arange(2 ** DTYPES[code].bits).to(narrow)
    return bits[torch.isfinite(bits.view(torch_dtype(code)).to(torch.float64))].view(torch_dtype(code))


def numbers(code: str, seed: int, spread: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randn(5000, generator=generator, dtype=torch.float64)
    powers = torch.randint(-9, 3, (5000,), generator=generator, dtype=torch.float64)
    return (
        (wide * 2**powers * spread).to(torch.float32 if DTYPES[code].bits < 32 else torch.float64).to(torch_dtype(code))
    )


@pytest.mark.parametrize("code", FLOATS)
def test_soup_of_one_type(code):
    tensors = [numbers(code, seed) for seed in range(3)]
    found = merge_states("soup", [{"w": tensor} for tensor in tensors], weights=WEIGHTS)["w"]
    assert equal_bits(found, soup(tensors, WEIGHTS))


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FLOATS, 2)))
def test_soup_of_mixed_types(first, second):
    tensors = [numbers(first, 1), numbers(second, 2)]
    found = merge_states("soup", [{"w": tensor} for tensor in tensors], weights=WEIGHTS[:2])["w"]
    assert equal_bits(found, soup(tensors, WEIGHTS[:2]))


@pytest.mark.parametrize(("code", "target"), list(itertools.product(["F64", "F32", "F16", "BF16", "F8_E5M2"], FLOATS)))
def test_output_type(code, target):
    tensors = [numbers(code, seed, 0.5) for seed in range(2)]
    found = merge_states("soup", [{"w": tensor} for tensor in tensors], weights=WEIGHTS[:2], dtype=target)["w"]
    assert equal_bits(found, soup(tensors, WEIGHTS[:2], torch_dtype(target)))


@pytest.mark.parametrize("code", FLOATS)
def test_task_arithmetic(code):
    base, *tensors = (numbers(code, seed, 0.25) for seed in range(3))
    states = [{"w": tensor} for tensor in tensors]
    found = merge_states("task-arithmetic", states, {"w": base}, weights=WEIGHTS[:2], scale=1.1)["w"]
    assert equal_bits(found, task_arithmetic(base, tensors, WEIGHTS[:2], 1.1))


@pytest.mark.parametrize("code", NARROW)
def test_every_number_survives(code):
    """Half of a number plus half of it is the number: nothing is lost on the way in or out."""
    tensor = all_finite(code)
    found = merge_states("soup", [{"w": tensor}, {"w": tensor}])["w"]
    zeros = tensor.to(torch.float64) == 0
    bits = {8: torch.int8, 16: torch.int16}[DTYPES[code].bits]  # torch cannot take single elements of 8-bit floats
    assert equal_bits(found.view(bits)[~zeros], tensor.view(bits)[~zeros])
    assert (found.to(torch.float64)[zeros] == 0).all()


def between(code: str) -> np.ndarray:
    """Return numbers exactly between neighbours of a type, and just beside: where rounding twice goes wrong."""
    values = np.unique(all_finite(code).to(torch.float64).numpy())
    middles = (values[1:] + values[:-1]) / 2
    near = np.concatenate([middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf)])
    tiny = middles + np.abs(middles) * 2.0**-40
    return np.concatenate([values, near, tiny])


BACKENDS = {"numpy": NumpyBackend, "torch": lambda: TorchBackend("cpu")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("code", NARROW)
def test_ties_in_rounding_from_float64(code, backend):
    values = between(code)
    assert_rounds(BACKENDS[backend](), values, code)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("code", NARROW)
def test_ties_in_rounding_from_float32(code, backend):
    assert_rounds(BACKENDS[backend](), np.unique(between(code).astype(np.float32)), code)


def assert_rounds(backend, values: np.ndarray, code: str) -> None:
    array = values if isinstance(backend, NumpyBackend) else torch.from_numpy(values)
    raw = bytearray(len(values) * DTYPES[code].bits // 8)
    backend.store(array, code, memoryview(raw))
    wanted = rounded(values, torch_dtype(code)).view({8: torch.uint8, 16: torch.int16}[DTYPES[code].bits]).numpy()
    unlike = np.flatnonzero(np.frombuffer(raw, wanted.dtype) != wanted)
    assert not len(unlike), values[unlike[:5]]


def test_double_rounding_would_show_here():
    """1 + 2^-8 + 2^-40 is above the middle of two bfloat16 numbers; by way of float32 it lands on the middle."""
    tensor = torch.tensor([1 + 2.0**-8 + 2.0**-40, -(1 + 2.0**-8 + 2.0**-40)], dtype=torch.float64)
    found = merge_states("soup", [{"w": tensor}, {"w": tensor}], dtype="BF16")["w"]
    assert found.tolist() == [1 + 2.0**-7, -(1 + 2.0**-7)]
    assert tensor.to(torch.float32).to(torch.bfloat16).tolist() == [1.0, -1.0]


def test_half_to_single_is_exact():
    tensor = all_finite("F16")
    out = np.empty(len(tensor), "f4")
    half_to_single(tensor.numpy(), out)
    assert np.array_equal(out.view("u4"), tensor.numpy().astype("f4").view("u4"))


def test_accumulation_is_not_in_sixteen_bits():
    """Many small weights: in bfloat16 the sum would stop growing."""
    states = [{"w": torch.full((3,), 1.0, dtype=torch.bfloat16)} for _ in range(64)]
    assert merge_states("soup", states, weights=[1 / 64] * 64)["w"].tolist() == [1.0] * 3
    states = [{"w": torch.tensor([256.0 if n == 0 else 1.0], dtype=torch.bfloat16)} for n in range(64)]
    assert merge_states("soup", states, weights=[1.0] * 64)["w"].item() == 320.0


@pytest.mark.parametrize("code", FLOATS)
def test_files_of_every_type_through_the_command_line(code, cli, tmp_path):
    tensors = [numbers(code, seed) for seed in range(2)]
    paths = [save(tmp_path / f"{number}.st", {"w": tensor}) for number, tensor in enumerate(tensors)]
    result = cli("soup", *paths, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert_same(load(tmp_path / "out.st"), {"w": soup(tensors, [0.5, 0.5])})


@pytest.mark.parametrize("code", FLOATS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_first_nonfinite_is_found(code, backend):
    bad = [value for value in (float("inf"), float("-inf"), float("nan")) if _holds(code, value)]
    assert bad
    for value, position in itertools.product(bad, (0, 7, 99)):
        tensor = numbers(code, 1)[:100].clone()
        assert BACKENDS[backend]().first_nonfinite(_raw(tensor), code) is None
        tensor[position] = value
        assert BACKENDS[backend]().first_nonfinite(_raw(tensor), code) == position


def _holds(code: str, value: float) -> bool:
    stored = torch.tensor([value]).to(torch_dtype(code)).to(torch.float64)
    return not torch.isfinite(stored).item()


def _raw(tensor: torch.Tensor) -> memoryview:
    return memoryview(bytearray(tensor.view(torch.uint8).numpy().tobytes()))


def test_numpy_names_cover_every_type():
    for code, dtype in DTYPES.items():
        assert numpy_dtype(code).itemsize == (dtype.bits // 8 if dtype.array else 1)
