"""Subnormal numbers, of inputs and of outcomes, are kept by every path: never made 0."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits, load, save
from command_line import Result
from in_memory import merge_states
from scaled_models import nearest

from merge import engine
from merge.engine import RunSettings
from merge.streaming.torch_backend import TorchBackend

Cli = Callable[..., Result]
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SIZE = 70_000  # more than a block


def subnormal(dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Return numbers below the smallest normal one of a type, some of them negative, every hundredth the smallest."""
    generator = torch.Generator().manual_seed(seed)
    width = dtype.itemsize * 8
    mantissa = {torch.float16: 10, torch.bfloat16: 7, torch.float32: 23, torch.float64: 52}[dtype]
    bits = torch.randint(1, 2**mantissa, (SIZE,), generator=generator)
    bits[::100] = 1
    bits += torch.randint(0, 2, (SIZE,), generator=generator) << (width - 1)
    kind = {16: torch.int16, 32: torch.int32, 64: torch.int64}[width]
    found = bits.to(kind).view(dtype)
    assert ((found.double().abs() < torch.finfo(dtype).tiny) & (found != 0)).all()
    return found


@pytest.fixture(params=TYPES, ids=str)
def three(request: pytest.FixtureRequest) -> list[dict[str, torch.Tensor]]:
    return [{"w": subnormal(request.param, seed)} for seed in range(3)]


def to_type(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Round once: numpy knows float16 and float32, and subnormal bfloat16 has the steps of 2^-133."""
    if dtype == torch.bfloat16:
        return (torch.round(exact * 2.0**133) * 2.0**-133).to(torch.bfloat16)
    return torch.from_numpy(exact.numpy().astype(str(dtype).removeprefix("torch.")))


@pytest.fixture(params=["kernels", "numpy", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numpy":
        monkeypatch.setenv("MERGE_NO_KERNELS", "1")
    if request.param == "torch":
        backend = lambda plan, settings, threads: (lambda: TorchBackend("cpu"), 2**20)  # noqa: E731
        monkeypatch.setattr(engine, "choose_backend", backend)
    return str(request.param)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_soup_is_the_rounded_mean(three: list[dict[str, torch.Tensor]], path: str, threads: int) -> None:
    """Halves and their sum are exact in the accumulator, down to the last bit of the smallest number."""
    a, b = three[1:]
    found = merge_states("soup", [a, b], settings=RunSettings(threads=threads))["w"]
    if found.dtype == torch.float64:  # for which the accumulator has no further bits: each half is rounded first
        wanted = torch.from_numpy(a["w"].numpy() * 0.5 + b["w"].numpy() * 0.5)
    else:
        wanted = to_type(a["w"].double() * 0.5 + b["w"].double() * 0.5, found.dtype)
    assert torch.equal(found, wanted)
    assert (found != 0).double().mean() > 0.9


@pytest.mark.parametrize("threads", [1, 4])
def test_a_task_vector_of_subnormal_numbers_is_added(
    three: list[dict[str, torch.Tensor]], path: str, threads: int
) -> None:
    """Sums and differences of subnormal numbers are exact, so base + (tuned - base) is the tuned model."""
    base, tuned, _ = three
    settings = RunSettings(threads=threads)
    for method, options in (("task-arithmetic", {"scale": 1.0}), ("ties", {"density": 1.0, "scale": 1.0})):
        found = merge_states(method, [tuned], base, settings=settings, **options)["w"]
        assert torch.equal(found, tuned["w"]), method


@pytest.mark.parametrize("threads", [1, 4])
def test_slerp_and_casts_make_none_of_them_0(three: list[dict[str, torch.Tensor]], path: str, threads: int) -> None:
    one = {"w": torch.cat([three[1]["w"], torch.ones(SIZE).to(three[1]["w"].dtype)])}
    settings = RunSettings(threads=threads)
    found = merge_states("slerp", [one, one], t=0.5, settings=settings)["w"][:SIZE]
    assert torch.allclose(found.double(), one["w"][:SIZE].double(), rtol=0.01, atol=torch.finfo(found.dtype).tiny / 64)
    assert (found != 0).double().mean() > 0.95
    if found.dtype in (torch.float16, torch.bfloat16):
        wider = merge_states("soup", [one, one], dtype="F32", settings=settings)["w"]
        assert torch.equal(wider, one["w"].float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_wide_numbers_become_subnormal_ones(path: str, dtype: torch.dtype) -> None:
    code, tiny = {torch.float16: ("F16", 2.0**-14), torch.bfloat16: ("BF16", 2.0**-126)}[dtype]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(SIZE, generator=generator, dtype=torch.float64) * tiny / 4
    found = merge_states("soup", [{"w": values}] * 2, dtype=code)["w"]
    assert torch.equal(found, to_type(values, dtype))
    assert ((found != 0) & (found.double().abs() < tiny)).double().mean() > 0.9


@contextmanager
def flushing() -> Iterator[None]:
    """Tell torch to make subnormal numbers 0 in this thread, which threads take over from the one that starts them."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_program_that_flushes_them_does_not_change_a_merge(
    three: list[dict[str, torch.Tensor]], path: str, threads: int
) -> None:
    base, one, two = three
    ways = [("soup", [one, two], None), ("ties", [one, two], base), ("slerp", [one, two], None)]
    settings = RunSettings(threads=threads)
    for method, models, start in ways:
        wanted = merge_states(method, models, start, settings=settings)["w"]
        with flushing():
            found = merge_states(method, models, start, settings=settings)["w"]
            assert np.array([2.0**-126], np.float32) * np.float32(0.5) == 0  # that program still has its way
        assert equal_bits(found, wanted), method


def test_the_command_line_keeps_them(here: Path, cli: Cli) -> None:
    state = {str(dtype).removeprefix("torch."): subnormal(dtype, 0) for dtype in TYPES}
    for name in "ab":
        save(here / f"{name}.st", state)
    assert cli("soup", "a.st", "b.st", "-o", "o.st", "--threads", "4").code == 0
    found = load(here / "o.st")
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items() if name != "float64")


def test_nothing_that_was_imported_flushes_them() -> None:
    """A library that was compiled with -ffast-math would do so when it is loaded."""
    assert sys.float_info.min / 2 > 0


def test_bfloat16_by_its_definition() -> None:
    """The rounding of this file, which knows subnormal numbers, is that of normal ones elsewhere."""
    values = torch.randn(1000, dtype=torch.float64) * 2.0**-100
    assert torch.equal(nearest(values), values.float().to(torch.bfloat16))
