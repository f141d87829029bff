"""The tasks of ``quality.py``: the bundled handwritten digits, seen in several ways.

All tasks have the same ten classes, so that experts can share one head. A task's files hold three splits: images to
train and calibrate on, without labels; images for choosing coefficients; images for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from merge.evaluation.data import load_digits

VALIDATION = 250  # of the 1257 training images
SPLITS = ("train", "validation", "test")
Images = Any  # float32 [n, 1, 8, 8] in [0, 1]

TASKS: Mapping[str, Callable[[Images], Images]] = {
    "plain": lambda images: images,
    "rotated": lambda images: np.rot90(images, axes=(-2, -1)),
    "inverted": lambda images: 1 - images,
    "mirrored": lambda images: images[..., ::-1],
}


@dataclass(frozen=True)
class Task:
    """One way of seeing the digits.

    Attributes:
        name: Key of ``TASKS``.
        images: What its expert is trained on: float32 [n, 1, 8, 8].
        labels: int64 [n].
        files: The benchmark file of each split; that of ``train`` has no labels.
    """

    name: str
    images: Images
    labels: Any
    files: Mapping[str, str]


def make_tasks(folder: Path) -> dict[str, Task]:
    """Write the images of every task, and a benchmark file for each of its splits, into a folder."""
    digits = _split_digits()
    return {name: _make_task(name, digits, folder) for name in TASKS}


def _split_digits() -> dict[str, tuple[Images, Any]]:
    """Return images and labels of every split; the held-out 540 are the package's own."""
    known, test = load_digits("train"), load_digits("test")
    images, validation_images, labels, validation_labels = train_test_split(
        known.images, known.labels, test_size=VALIDATION, stratify=known.labels, random_state=0
    )
    return {
        "train": (images, labels),
        "validation": (validation_images, validation_labels),
        "test": (test.images, test.labels),
    }


def _make_task(name: str, digits: Mapping[str, tuple[Images, Any]], folder: Path) -> Task:
    arrays = {}
    for split, (images, labels) in digits.items():
        arrays[f"{split}_images"] = np.ascontiguousarray(TASKS[name](images))
        if split != "train":
            arrays[f"{split}_labels"] = labels
    np.savez(folder / f"{name}.npz", **arrays)
    files = {split: _benchmark(name, split, folder) for split in SPLITS}
    return Task(name, arrays["train_images"], digits["train"][1], files)


def _benchmark(name: str, split: str, folder: Path) -> str:
    path = folder / f"{name}-{split}.yaml"
    lines = f"name: {name}", "kind: classification", f"data: {{path: {name}.npz, split: {split}}}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
