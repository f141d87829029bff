"""The benchmark of the GPU path runs: here on the processor, on both sides."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from command_line import ROOT


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


@pytest.fixture
def tiny(monkeypatch):
    import gpu

    size = gpu.Size(megabytes=1, widths=(8, 16), copies=(1,), runs=1, seconds=60, each=10)
    monkeypatch.setattr(gpu, "QUICK", size)
    monkeypatch.setattr(gpu, "machine", lambda: "This machine.")
    return gpu.main


def test_it_runs(tiny, capsys):
    tiny(["--device", "cpu", "--quick"])
    printed = capsys.readouterr().out
    assert printed.count("the same bytes") == 2
    assert printed.count("within one rounding") == 2
    assert printed.count(" apart ") == 2
    assert printed.count("planted order found") == 2
    assert "these numbers mean nothing" in printed
    assert "python benchmarks/gpu.py --device cpu --quick" in printed
    assert "DIFFERS" not in printed
    assert "host to device, pinned, 1 MiB" in printed


@pytest.mark.parametrize("device", ["cuda:0", "cuda:7", "tpu"])
def test_without_a_gpu_it_says_so(device, tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SystemExit, match="this needs an NVIDIA GPU"):
        tiny(["--device", device])


def test_another_outcome_fails_after_all_tables(tiny, monkeypatch, capsys):
    import gpu_merges

    plain = gpu_merges.merged

    def merged(method, models, base, device, *, keep=True):
        found = plain(method, models, base, device, keep=keep)
        outcomes.append(found)
        return found._replace(
            tensors={name: tensor + len(outcomes) % 2 for name, tensor in found.tensors.items()},
            identity=str(len(outcomes)),
        )

    outcomes: list[object] = []
    monkeypatch.setattr(gpu_merges, "merged", merged)
    with pytest.raises(SystemExit, match="not the processor's"):
        tiny(["--device", "cpu", "--quick"])
    printed = capsys.readouterr().out
    assert "DIFFERS: other bytes" in printed
    assert "farther than a rounding" in printed
    assert "planted order found" in printed


def test_what_is_near_is_told_from_what_is_not():
    from gpu_merges import within_one_rounding

    tensor = torch.tensor([1.0, -2.0, 0.0], dtype=torch.bfloat16)
    neighbour = torch.tensor([1.0078125, -2.0, 0.0], dtype=torch.bfloat16)
    assert within_one_rounding({"w": tensor}, {"w": neighbour}) == "within one rounding"
    assert within_one_rounding({"w": tensor}, {"w": neighbour * 1.05}).startswith("DIFFERS: 2 entries of w")


def test_larger_problems_stop_before_they_take_too_long():
    import time

    from gpu_clock import Budget, Growing

    side, calls = Growing(Budget(100, 0.5), "cpu", 8), []

    def work():
        calls.append(time.sleep(0.1))

    assert side.measure(work) is not None
    assert len(calls) == 2  # the first one loads libraries
    assert side.measure(work) is None
    assert side.measure(work) is None
    assert len(calls) == 2


def test_the_link_bounds_a_merge_by_its_busier_direction():
    from gpu_link import Link

    assert Link(50.0, 50.0, 100.0).least_seconds(200, 50) == 4
    assert Link(50.0, 50.0, 50.0).least_seconds(200, 50) == 5
