"""A small network with its base, two task vectors and data, in memory, for the tests of learned scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from merge.calibration.feeds.in_memory import sample_from_tensors, subject_from_module
from merge.plan import make_plan
from merge.recipe import Merge, Model, Recipe
from merge.scaling.tasks import DataTask, Portion
from merge.scaling.vectors import TaskVectors
from merge.search.members import Members

State = Mapping[str, torch.Tensor]


def network(inputs: int = 6, hidden: int = 5, classes: int = 3) -> torch.nn.Module:
    layers = torch.nn.Linear(inputs, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, classes)
    return torch.nn.Sequential(*layers).eval()


def random_state(like: torch.nn.Module, seed: int, spread: float = 0.5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: spread * torch.randn(tensor.shape, generator=generator) for name, tensor in like.state_dict().items()}


def moved(base: State, seed: int, spread: float = 0.5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: tensor + spread * torch.randn(tensor.shape, generator=generator) for name, tensor in base.items()}


@contextmanager
def task_vectors(base: State, models: Sequence[State], memory: int = 10**9, **more: Any) -> Iterator[TaskVectors]:
    """Yield the task vectors of state dicts."""
    plan = make_plan(Recipe(Merge("soup", tuple(Model(one) for one in (base, *models)), Model(base))))
    try:
        yield TaskVectors(Members(plan), memory, **more)
    finally:
        plan.close()


def data_task(
    base: State, inputs: torch.Tensor, labels: torch.Tensor | None, module: torch.nn.Module, name: str = "data"
) -> DataTask:
    """Return a task on a network that has the base's weights."""
    module.load_state_dict(dict(base))
    subject = subject_from_module(name, module)
    return DataTask(name, subject, Portion(sample_from_tensors({"x": inputs}, labels), 0, len(inputs)), 16)


def drawn(count: int, seed: int, classes: int = 3, inputs: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, inputs, generator=generator), torch.randint(classes, (count,), generator=generator)
