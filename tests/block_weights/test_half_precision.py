"""What float16 cannot hold: refused where it is too large, counted where it is too small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused
from diffusion_layouts import write_model

from merge.streaming.numpy_backend import NumpyBackend
from merge.streaming.torch_backend import TorchBackend

SIZE = (300, 700)  # more than one block and more than one span


@pytest.fixture
def wide(here: Path) -> Path:
    """Two float32 models: some weights are too small for float16, one is close to its largest number."""
    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        small = torch.randn(SIZE, generator=generator) * 1e-7
        plain = torch.randn(SIZE, generator=generator)
        plain[5, 7] = 60000.0
        save(here / f"{name}.st", {"small": small, "plain": plain, "zero": torch.zeros(9)})
    return here


def vanished(mean: torch.Tensor, dtype: torch.dtype = torch.float16) -> int:
    return int(((mean != 0) & (mean.to(dtype) == 0)).sum())


@pytest.mark.parametrize("more", [(), ("--workers", "2"), ("--threads", "3")])
def test_numbers_that_become_0_are_counted(wide: Path, cli: Callable[..., Any], more: Sequence[str]) -> None:
    result = cli("soup", "a.st", "b.st", "-o", "o.st", "--dtype", "float16", *more)
    a, b = load(wide / "a.st"), load(wide / "b.st")
    count = sum(vanished(0.5 * a[name] + 0.5 * b[name]) for name in a)
    assert count > 1000
    assert f"note: {count:,} numbers became 0, too small for F16" in result.out + result.err


def test_so_are_those_of_a_cast(wide: Path, cli: Callable[..., Any]) -> None:
    result = cli("cast", "a.st", "-o", "o.st", "--dtype", "float16")
    count = sum(vanished(tensor) for tensor in load(wide / "a.st").values())
    assert f"{count:,} numbers became 0, too small for F16, whose smallest is 6e-08" in result.out + result.err


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_type_of_the_same_range_loses_none(wide: Path, cli: Callable[..., Any], dtype: str) -> None:
    result = cli("soup", "a.st", "b.st", "-o", "o.st", "--dtype", dtype)
    assert result.code == 0
    assert "became 0" not in result.out + result.err


def test_halves_among_themselves_are_not_counted(trained: Path, cli: Callable[..., Any]) -> None:
    result = cli("soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors")
    assert result.code == 0
    assert "became 0" not in result.out + result.err


@pytest.mark.parametrize("source", [torch.float32, torch.bfloat16, torch.float16])
def test_an_outcome_beyond_float16_is_one_message(here: Path, cli: Callable[..., Any], source: torch.dtype) -> None:
    for name in "ab":
        state = {"first": torch.ones(4), "large": torch.full((8, 8), 50000.0), "last": torch.ones(4)}
        save(here / f"{name}.st", {key: value.to(source) for key, value in state.items()})
    command = ["soup", "a.st", "b.st", "--weights", "1,1", "--dtype", "float16", "-o", "o.st"]
    result = cli(*command)
    words = ("tensor 'large'", "beyond the largest F16 number, 65504", "64 such", "--keep 'large'", "--allow-nonfinite")
    assert_refused(result, 1, *words)
    assert not (here / "o.st").exists()
    assert cli(*command, "--keep", "large").code == 0
    assert load(here / "o.st")["large"].dtype == source
    assert cli(*command, "--allow-nonfinite", "--force").code == 0
    assert load(here / "o.st")["large"].isinf().all()


@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")], ids=["numpy", "torch"])
@pytest.mark.parametrize(("code", "dtype"), [("F16", torch.float16), ("F8_E5M2", torch.float8_e5m2)])
def test_both_backends_count_alike(backend: Any, code: str, dtype: torch.dtype) -> None:
    numbers = torch.tensor([0.0, -0.0, 1e-9, -1e-9, 2.0, float("inf"), float("nan"), -float("inf")])
    raw = bytearray(len(numbers) * dtype.itemsize)
    backend.begin()
    backend.store(backend.load(bytearray(numbers.numpy().tobytes()), "F32", "F32"), code, raw)
    assert backend.nonzeros(backend.load(bytearray(numbers.numpy().tobytes()), "F32", "F32")) == 6
    assert backend.nonzeros_in(raw, code) == 4
    assert backend.count_nonfinite(raw, code) == 3


def test_a_vae_may_stay_wider_than_the_rest(here: Path, cli: Callable[..., Any]) -> None:
    for seed, name in enumerate("xy"):
        write_model(here / f"{name}.safetensors", "sdxl", seed=seed, dtype=torch.float32)
    command = ["soup", "x.safetensors", "y.safetensors", "-o", "o.safetensors", "--dtype", "float16"]
    assert cli(*command, "--keep", "block:VAE").code == 0
    for name, tensor in load(here / "o.safetensors").items():
        if tensor.is_floating_point():
            assert tensor.dtype == (torch.float32 if name.startswith("first_stage_model.") else torch.float16)
