"""The models of ``quality.py``: one base that knows every task a little, and an expert for each task.

The protocol is that of CLIP merging on a small scale: the base is pre-trained on everything, each expert is fine-tuned
on one task with the head frozen, so that all of them share it and only their bodies are merged.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from digit_tasks import Task

from merge.demo.training import Schedule, new_model, save, train

BASE = "base"


def make_models(tasks: Mapping[str, Task], folder: Path, seed: int, base: Schedule, expert: Schedule) -> dict[str, str]:
    """Train the base and the experts, and save them.

    Args:
        tasks: By name.
        folder: Where they are saved.
        seed: First weights, and the order of the images.
        base: How the base is trained, on all tasks' images.
        expert: How each expert is trained, on its task's images.

    Returns:
        The folder of each model: ``base``, and the tasks' names.
    """
    model = new_model(seed)
    images, labels = (all_of(tasks, part) for part in ("images", "labels"))
    train(model, images, labels, base, seed=seed)
    folders = {BASE: _save(model, folder / BASE)}
    model.classifier.requires_grad_(False)
    for number, task in enumerate(tasks.values()):
        tuned = copy.deepcopy(model)
        train(
            tuned, torch.from_numpy(task.images), torch.from_numpy(task.labels), expert, seed=1000 * (seed + 1) + number
        )
        folders[task.name] = _save(tuned, folder / task.name)
    return folders


def all_of(tasks: Mapping[str, Task], part: str) -> torch.Tensor:
    """Return the images or the labels of all tasks, one after the other."""
    return torch.cat([torch.from_numpy(getattr(task, part)) for task in tasks.values()])


def _save(model: Any, folder: Path) -> str:
    save(model, str(folder))
    return str(folder)
