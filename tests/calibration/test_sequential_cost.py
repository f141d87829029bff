"""What RegMean++ costs: passes through blocks, and tensors in memory."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from sequential_case import Data, count_calls, run
from torch import nn

WIDTH, TOKENS, ITEMS = 8, 4, 6


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, hidden: Any) -> Any:
        return hidden + self.outer(self.inner(self.norm(hidden)).tanh())


class Network(nn.Module):
    def __init__(self, blocks: int, seed: int = 0, head: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Linear(3, WIDTH)
        self.layers = nn.ModuleList([Block() for _ in range(blocks)])
        self.head = nn.Linear(WIDTH, 2) if head else nn.Identity()

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def case(blocks: int, models: int, head: bool = False) -> tuple[list[Any], list[Data]]:
    networks = [Network(blocks, seed, head) for seed in range(models)]
    inputs = [torch.randn(ITEMS, TOKENS, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(models)]
    return networks, [Data(lambda: Network(blocks, 9, head), {"x": x}) for x in inputs]


@pytest.mark.parametrize(("head", "more"), [(False, 0), (True, 1)])
def test_two_passes_through_each_block(head: bool, more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last block's merged pass is needed only where a head follows; the first one shows its form once more."""
    items: list[int] = []
    networks, data = case(4, 2, head)
    calls = count_calls(monkeypatch, Block)
    run(tmp_path, networks, data, advance=items.append)
    survey = 4  # one item once through all blocks
    assert sum(calls) == survey + 2 * ITEMS * (4 + 4 - 1 + 1 + more)
    assert sum(items) == 2 * ITEMS * (4 + more)


class Ledger:
    """Counts the bytes of tensors that are alive, by what they are."""

    def __init__(self) -> None:
        self.live: dict[str, int] = {}
        self.peak: dict[str, int] = {}

    def note(self, what: str, tensor: Any) -> Any:
        size = tensor.numel() * tensor.element_size()
        self.live[what] = self.live.get(what, 0) + size
        self.peak[what] = max(self.peak.get(what, 0), self.live[what])
        weakref.finalize(tensor, self._gone, what, size)
        return tensor

    def _gone(self, what: str, size: int) -> None:
        self.live[what] -= size


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Follows every tensor that is read of a candidate, kept as a Gram matrix, or cached."""
    from merge.calibration.sequential.cache import MemoryCache
    from merge.calibration.sequential.candidates import Candidates
    from merge.calibration.sequential.gram_files import GramFile

    found = Ledger()
    read, add, put = Candidates._read, GramFile.add, MemoryCache.put

    def reading(self: Any, model: int, name: str) -> Any:
        return found.note("candidates", read(self, model, name))

    def adding(self: Any, grams: Any) -> Any:
        kept = add(self, grams)
        for gram in kept.means.values():
            found.note("grams", gram)
        return kept

    def putting(self: Any, key: Any, tensors: Any) -> None:
        put(self, key, {number: found.note("cache", tensor) for number, tensor in tensors.items()})

    monkeypatch.setattr(Candidates, "_read", reading)
    monkeypatch.setattr(GramFile, "add", adding)
    monkeypatch.setattr(MemoryCache, "put", putting)
    return found


BLOCK_BYTES = sum(parameter.numel() for parameter in Block().parameters()) * 4
GRAM_BYTES = (WIDTH**2 + 16**2) * 8


@pytest.mark.parametrize("blocks", [2, 8])
@pytest.mark.parametrize("models", [2, 3])
def test_one_block_of_each_model_its_grams_and_the_cache(
    blocks: int, models: int, tmp_path: Path, ledger: Ledger
) -> None:
    networks, data = case(blocks, models)
    run(tmp_path, networks, data)
    assert ledger.peak["candidates"] == models * BLOCK_BYTES
    assert ledger.peak["grams"] == models * GRAM_BYTES
    activations = models * ITEMS * TOKENS * WIDTH * 4
    assert activations <= ledger.peak["cache"] <= 2 * activations
    assert ledger.live == dict.fromkeys(ledger.live, 0)


def test_the_network_is_in_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint that it was built from is let go of before the first block."""
    from merge.calibration.sequential import run as runs

    alive: list[int] = []
    networks, data = case(2, 2)
    kept: list[Any] = []
    subject = Data.subject

    def remembering(self: Any, candidate: Any, settings: Any) -> Any:
        kept.append(candidate)
        return subject(self, candidate, settings)

    survey = runs.survey

    def looking(*arguments: Any, **options: Any) -> Any:
        alive.append(len(kept[0].tensors))
        return survey(*arguments, **options)

    monkeypatch.setattr(Data, "subject", remembering)
    monkeypatch.setattr(runs, "survey", looking)
    run(tmp_path, networks, data)
    assert len(kept) == 1
    assert alive == [0]
