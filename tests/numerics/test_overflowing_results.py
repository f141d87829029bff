"""Results beyond the largest number of their type: refused with every way out, or made that number and counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from checkpoint_files import load, save
from command_line import Result, assert_refused

import merge
from merge.dtypes import DTYPES, torch_dtype
from merge.errors import MergeError
from merge.schema import SCHEMAS
from merge.streaming.narrowing import LARGEST
from merge.streaming.numpy_backend import NumpyBackend
from merge.streaming.overflow import overflow_error, saturate
from merge.streaming.torch_backend import TorchBackend

Cli = Callable[..., Result]
TYPES = {
    "float16": ("F16", torch.float16),
    "bfloat16": ("BF16", torch.bfloat16),
    "float8_e4m3fn": ("F8_E4M3", torch.float8_e4m3fn),
    "float8_e5m2": ("F8_E5M2", torch.float8_e5m2),
    "float32": ("F32", torch.float32),
}


def state(largest: float) -> dict[str, torch.Tensor]:
    """Return numbers of which a sum of two such models has a few beyond a type's largest number."""
    values = torch.tensor([0.25, 0.4, 0.75, -1.5, 2.0, -0.5], dtype=torch.float64) * largest
    small = {f"layers.{number}.norm": torch.ones(5, dtype=torch.float64) for number in range(9)}
    return {"first": torch.ones(3, dtype=torch.float64), "large": values, "worse": values[1:].repeat(9)} | small


@pytest.fixture(params=sorted(TYPES))
def wide(request: pytest.FixtureRequest, here: Path) -> str:
    """Two float64 models; the output type that their sum is too large for."""
    code, _ = TYPES[request.param]
    for name in "ab":
        save(here / f"{name}.st", state(LARGEST[code]))
    return str(request.param)


def command(dtype: str, *more: str) -> list[str]:
    return ["soup", "a.st", "b.st", "--weights", "1,1", "-o", "o.st", "--dtype", dtype, *more]


def test_refused_with_count_size_and_ways_out(wide: str, cli: Cli, here: Path) -> None:
    code, _ = TYPES[wide]
    wider = "bfloat16" if code.startswith("F8") or code == "F16" else "float64"
    words = ("tensor 'large'", f"largest {code} number, {LARGEST[code]:g}", f"up to {4 * LARGEST[code]:.4g}")
    ways = (f"--dtype {wider} holds it", "--overflow saturate", "--keep 'large'", "--allow-nonfinite")
    assert_refused(cli(*command(wide)), 1, *words, *ways)
    assert not (here / "o.st").exists()
    assert cli(*command(wider)).code == 0


@pytest.mark.parametrize("more", [(), ("--workers", "2"), ("--threads", "3")])
def test_saturated_counted_and_repeated(wide: str, cli: Cli, here: Path, more: Sequence[str]) -> None:
    code, dtype = TYPES[wide]
    result = cli(*command(wide, "--overflow", "saturate", "--json", *more))
    assert result.code == 0, result
    found = load(here / "o.st")
    limit = torch.tensor(LARGEST[code], dtype=torch.float64)
    wanted = (2 * state(LARGEST[code])["large"]).clamp(-limit, limit).to(dtype)
    assert found["large"].double().tolist() == wanted.double().tolist()
    assert found["first"].double().tolist() == [2.0] * 3
    remark = f"30 numbers of 2 tensors became the largest {code} number, {LARGEST[code]:g} (most: 27 of 'worse'"
    document = json.loads(result.out)
    assert any(remark in note for note in document["notes"])
    assert remark in (here / "o.st.md").read_text()
    jsonschema.validate(document, SCHEMAS["merge"]())
    rounding = document["rounding"]
    assert (rounding["overflow"], rounding["saturated"]) == ("saturate", 30)
    counts = {row["tensor"]: (row["saturated"], row["largest"]) for row in rounding["tensors"]}
    assert counts == {"large": (3, 4 * LARGEST[code]), "worse": (27, 4 * LARGEST[code])}
    assert cli("verify", "o.st").code == 0


def test_the_report_says_it_too(here: Path, cli: Cli) -> None:
    for name in "ab":
        save(here / f"{name}.st", {"w": torch.full((4,), 60000.0).half()})
    command = ["soup", "a.st", "b.st", "--weights", "1,1", "-o", "o.st", "--overflow", "saturate", "--report", "r"]
    assert cli(*command).code == 0
    text = (here / "r" / "report.md").read_text()
    assert "4 numbers of 1 tensor became the largest F16 number, 65504 (most: 4 of 'w', up to 1.2e+05)" in text
    results = json.loads((here / "r" / "results.json").read_text())
    jsonschema.validate(results, SCHEMAS["report"]())
    assert results["rounding"]["saturated"] == 4


def test_nothing_beyond_is_nothing_changed(here: Path, cli: Cli, pair: Any) -> None:
    assert cli("soup", *pair, "-o", "plain.st").code == 0
    assert cli("soup", *pair, "-o", "o.st", "--overflow", "saturate").code == 0
    plain, found = load(here / "plain.st"), load(here / "o.st")
    assert all(torch.equal(plain[name], found[name]) for name in plain)


def test_65519_is_rounded_as_ever(here: Path) -> None:
    """What is nearest to the largest number is not beyond it, however it is rounded."""
    for rounding in ("nearest", "stochastic"):
        below = [{"w": torch.tensor([65519.0, -65519.0, 65519.99])} for _ in range(2)]
        beyond = [{"w": torch.tensor([1.0, 65520.0])} for _ in range(2)]
        found = merge.merge_state_dicts(below, dtype="float16", rounding=rounding)
        assert found["w"].tolist() == [65504.0, -65504.0, 65504.0]
        with pytest.raises(MergeError, match="beyond the largest F16"):
            merge.merge_state_dicts(beyond, dtype="float16", rounding=rounding)
        one = merge.merge_state_dicts(beyond, dtype="float16", rounding=rounding, overflow="saturate")
        assert one["w"].tolist() == [1.0, 65504.0]


def test_infinities_and_nan_of_inputs_keep_their_rule(here: Path, cli: Cli) -> None:
    values = torch.tensor([float("inf"), -float("inf"), float("nan"), 1e6, -1e6, 1.0])
    save(here / "a.st", {"w": values})
    command = ["cast", "a.st", "-o", "o.st", "--dtype", "float16", "--overflow", "saturate"]
    assert_refused(cli(*command), 1, "'w' holds an infinity or NaN", "--allow-nonfinite")
    assert cli(*command, "--allow-nonfinite").code == 0
    found = load(here / "o.st")["w"].tolist()
    assert found[:2] == [float("inf"), -float("inf")]
    assert found[2] != found[2]
    assert found[3:] == [65504.0, -65504.0, 1.0]
    assert cli("verify", "o.st").code == 0


def test_arithmetic_that_overflows_is_refused_whatever_becomes_of_large_results(here: Path, cli: Cli) -> None:
    for name in "ab":
        save(here / f"{name}.st", {"w": torch.full((4,), 3e38).bfloat16()})
    refused = cli("soup", "a.st", "b.st", "--weights", "1,1", "-o", "o.st", "--overflow", "saturate")
    assert_refused(refused, 1, "tensor 'w'", "beyond the largest BF16 number", "--keep 'w'")
    assert "--overflow" not in refused.err
    assert "--dtype" not in refused.err


@pytest.mark.parametrize(("dtype", "wider"), [("F16", "bfloat16"), ("BF16", "float32"), ("F32", "float64")])
def test_the_type_that_is_named_holds_it(dtype: str, wider: str) -> None:
    assert f"--dtype {wider} holds it" in (overflow_error("w", dtype, 1, LARGEST[dtype] * 1.001).hint or "")
    assert "--dtype float32" in (overflow_error("w", "F16", 1, LARGEST["BF16"] * 1.001).hint or "")


@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")], ids=["numpy", "torch"])
@pytest.mark.parametrize("dtype", sorted(TYPES))
def test_both_backends_alike(backend: Any, dtype: str) -> None:
    code, kind = TYPES[dtype]
    numbers = torch.tensor([1.0, -2.0, 0.99, -0.99, float("inf"), float("nan")], dtype=torch.float64) * LARGEST[code]
    numbers[:2] *= 1.5
    raw = bytearray(len(numbers) * kind.itemsize)
    backend.begin()
    array = backend.load(bytearray(numbers.numpy().tobytes()), "F64", "F64")
    backend.store(array, code, raw)
    tally = saturate(backend.fetched(array), code, memoryview(raw))
    assert (tally.saturated, tally.largest) == (2, 3 * LARGEST[code])
    found = torch.frombuffer(raw, dtype=kind).double()
    assert found[:2].tolist() == [LARGEST[code], -LARGEST[code]]
    assert found[2:4].abs().max() <= LARGEST[code]
    assert not found[4:].isfinite().any()


@pytest.mark.parametrize("source", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"])
def test_torch_makes_of_what_is_beyond_what_numpy_makes(dtype: str, source: torch.dtype) -> None:
    """Some versions of torch saturate casts to 8 bits, which would hide what is to be refused."""
    limit = LARGEST[dtype]
    edges = torch.tensor([1.0, 1 + 2**-5, 1.03571, 1 + 2**-4, 1.0715, 1.2, 2.0, 100.0], dtype=source) * limit
    numbers = torch.cat([edges, -edges, torch.tensor([float("inf"), float("nan"), -float("inf")], dtype=source)])
    stored = []
    for backend in (NumpyBackend(), TorchBackend("cpu")):
        raw = bytearray(len(numbers) * DTYPES[dtype].bits // 8)
        backend.begin()
        code = {torch.float32: "F32", torch.float64: "F64"}[source]
        backend.store(backend.load(bytearray(numbers.numpy().tobytes()), code, code), dtype, raw)
        stored.append(torch.frombuffer(raw, dtype=torch_dtype(dtype)).double())
    assert torch.equal(stored[0].isnan(), stored[1].isnan())
    assert torch.equal(stored[0].nan_to_num(-1.5), stored[1].nan_to_num(-1.5))
