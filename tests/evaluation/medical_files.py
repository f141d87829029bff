"""Small generated data in the layouts of MedMNIST, MedMNIST-C and MedIMeta: a pattern for every class, under noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from merge.evaluation.data.medmnist import CLASSES
from merge.evaluation.data.medmnist_c import CORRUPTIONS

SETS = {"retinamnist": (3,), "bloodmnist": (3,), "breastmnist": (), "octmnist": ()}
NOVEL = {
    "fundus": ("disease presence", ("normal", "abnormal"), (3,)),
    "aml": ("morphological class", ("BAS Basophil", "EBO Erythroblast", "KSC Smudge cell"), (3,)),
    "bus": ("case", ("normal", "benign", "malignant"), ()),
    "oct": ("disease", ("CNV", "DME", "DRUSEN", "NORMAL"), ()),
}


def pixels(seed: int, labels: Sequence[int], channels: Sequence[int], side: int = 8) -> np.ndarray[Any, Any]:
    """Return images [n, side, side, …]: a pattern for every class, under noise."""
    shape = (side, side, *channels)
    patterns = [np.random.default_rng(label).integers(0, 2, shape) * 200 for label in labels]
    noise = np.random.default_rng(seed).integers(0, 56, (len(labels), *shape))
    return (np.stack(patterns) + noise).astype(np.uint8)


def write_medmnist(root: Path, name: str, n: int = 16, suffix: str = "_224") -> None:
    """Write a set's file with all its splits."""
    labels = np.arange(n) % len(CLASSES[name])
    arrays = {}
    for seed, split in enumerate(("train", "val", "test")):
        arrays[f"{split}_images"] = pixels(seed, labels, SETS[name])
        arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(root / f"{name}{suffix}.npz", **arrays)


def write_medmnist_c(root: Path, name: str, n: int = 16) -> None:
    """Write a file for every corruption of a set: its images with ever more noise, five times."""
    (root / name).mkdir(parents=True)
    labels = np.arange(n) % len(CLASSES[name])
    clean = pixels(2, labels, SETS[name])
    for seed, corruption in enumerate(CORRUPTIONS[name]):
        draws = np.random.default_rng(seed)
        noisy = [clean // severity + draws.integers(0, 20 * severity, clean.shape) for severity in range(1, 6)]
        arrays = {"test_images": np.concatenate(noisy).astype(np.uint8), "test_labels": np.tile(labels, 5)[:, None]}
        np.savez_compressed(root / name / f"{corruption}.npz", **arrays)


def write_medimeta(root: Path, name: str, n: int = 20) -> None:
    """Write a set's folder; every other image is of the test split."""
    from PIL import Image

    task, classes, channels = NOVEL[name]
    folder = root / name
    for part in ("images", "task_labels", "splits"):
        (folder / part).mkdir(parents=True)
    labels = np.arange(n) // 2 % len(classes)
    for number, image in enumerate(pixels(5, labels, channels)):
        Image.fromarray(image).save(folder / "images" / f"{number:06d}.tiff")
    np.save(folder / "task_labels" / f"{task}.npy", labels)
    for first, split in enumerate(("train", "test")):
        lines = [f"images/{number:06d}.tiff" for number in range(first, n, 2)]
        (folder / "splits" / f"{split}.txt").write_text("\n".join(lines))
    (folder / "info.yaml").write_text(info(name, task, classes))


def info(name: str, task: str, classes: Sequence[str]) -> str:
    lines = [f"id: {name}", f"name: {name} of MedIMeta", "domain: tests", "tasks:", f'  - task_name: "{task}"']
    lines += ["    task_target: MULTICLASS_CLASSIFICATION", "    labels:"]
    lines += [f"      {number}: {label}" for number, label in enumerate(classes)]
    lines += ['  - task_name: "disease labels"', "    task_target: MULTILABEL_CLASSIFICATION", "    labels: {0: DR}"]
    return "\n".join(lines) + "\n"


def write_all(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Write all that the medical suites read, and say where it lies."""
    for variable, part in (("MEDMNIST", "medmnist"), ("MEDMNIST_C", "corrupted"), ("MEDIMETA", "medimeta")):
        (root / part).mkdir()
        patch.setenv(f"MERGE_{variable}_ROOT", str(root / part))
    for name in SETS:
        write_medmnist(root / "medmnist", name)
        write_medmnist_c(root / "corrupted", name)
    for name in NOVEL:
        write_medimeta(root / "medimeta", name)
