"""The models of ``quality.py``: one base that knows the digits as they are, and an expert for each task.

The protocol is that of CLIP merging on a small scale: one base, from which every expert is fine-tuned on its task with
the head frozen, so that all of them share the base's head and only their bodies are merged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from digit_tasks import Task

from merge.demo.training import Schedule, new_model, save, train

BASE, PRETRAINING = "base", "plain"


def make_models(tasks: Mapping[str, Task], folder: Path, seed: int, base: Schedule, expert: Schedule) -> dict[str, str]:
    """Train the base and the experts, and save them.

    Args:
        tasks: By name.
        folder: Where they are saved.
        seed: First weights, and the order of the images.
        base: How the base is trained, on the images of the task ``plain``.
        expert: How each expert is trained, on its task's images.

    Returns:
        The folder of each model: ``base``, and the tasks' names.
    """
    model = new_model(seed)
    _train(model, tasks[PRETRAINING], base, seed)
    folders = {BASE: _save(model, folder / BASE)}
    model.classifier.requires_grad_(False)
    for number, task in enumerate(tasks.values()):
        tuned = copy.deepcopy(model)
        _train(tuned, task, expert, 1000 * (seed + 1) + number)
        folders[task.name] = _save(tuned, folder / task.name)
    return folders


def _train(model: Any, task: Task, schedule: Schedule, seed: int) -> None:
    train(model, torch.from_numpy(task.images), torch.from_numpy(task.labels), schedule, seed=seed)


def _save(model: Any, folder: Path) -> str:
    save(model, str(folder))
    return str(folder)
