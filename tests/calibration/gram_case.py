"""Small networks, data in memory, and Gram matrices computed from them, or by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from merge.calibration.declared import GramCalibration
from merge.calibration.facts import Facts
from merge.calibration.gram import compute_gram
from merge.calibration.storing import Store
from merge.calibration.subject import Batch
from merge.evaluation.candidate import Candidate
from merge.evaluation.task import Settings


@dataclass
class FakeSubject:
    """A network whose names are the checkpoint's own."""

    module: nn.Module
    name: str = "model"
    device: str = "cpu"
    predicts: str = "nothing"
    more_places: Mapping[str, torch.Tensor] = field(default_factory=dict)
    runs: int = 0

    def places(self) -> dict[str, torch.Tensor]:
        return dict(self.module.named_parameters()) | dict(self.more_places)

    def run(self, inputs: Mapping[str, torch.Tensor]) -> None:
        self.runs += len(next(iter(inputs.values())))
        self.module.eval()(**inputs)

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        raise AssertionError("activations need no predictions")


@dataclass
class FakeData:
    """Data in memory: a subject and the inputs of all items."""

    of: FakeSubject
    inputs: Mapping[str, torch.Tensor]
    counted: Mapping[str, torch.Tensor] | None = None
    name: str = "fake"
    where: str = "fake"

    @property
    def about(self) -> dict[str, Any]:
        return {"name": self.name, "number": len(self)}

    def subject(self, candidate: Candidate, settings: Settings) -> FakeSubject:
        return self.of

    def sample(self, subject: FakeSubject, count: int, draw: str, settings: Settings) -> FakeData:
        return self

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        for start in range(first, len(self), size):
            part = slice(start, start + size)
            counted = {name: mask[part] for name, mask in self.counted.items()} if self.counted else None
            yield Batch({name: tensor[part] for name, tensor in self.inputs.items()}, None, counted)


def gram_of(
    data: FakeData, out: Path, batch_size: int = 2, tensors: Mapping[str, torch.Tensor] | None = None, **options: Any
) -> tuple[dict[str, torch.Tensor], Facts]:
    """Compute, and read the file."""
    settings = Settings(batch_size=batch_size)
    candidate = Candidate("model", tensors or {}, None, "content id")
    with Store(out, dtype="float64", force=True) as store:
        facts = compute_gram(candidate, data, GramCalibration(**options), settings, store)
    with safe_open(out, "pt") as file:
        read = Facts.from_metadata(file.metadata(), "out")
    assert (read.kind, read.model, read.rows) == ("gram", "content id", facts.rows)
    return load_file(out), facts


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def mean(rows: torch.Tensor) -> torch.Tensor:
    rows = rows.detach().reshape(-1, rows.shape[-1]).double()
    return rows.T @ rows / len(rows)


class Two(nn.Module):
    """Two layers; the second one is also left alone by half of the items."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = (nn.Linear(3, 3, dtype=torch.float64) for _ in range(3))
        self.norm = nn.LayerNorm(3, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(self.first(x)).relu())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden = nn.Embedding(7, 3), nn.Linear(3, 3)
        self.out, self.value = nn.Linear(3, 7, bias=False), nn.Linear(3, 1)
        self.out.weight = self.table.weight

    def forward(self, input_ids: torch.Tensor) -> Any:
        states = self.hidden(self.table(input_ids)).relu()
        return self.out(states), self.value(states)
