"""Data sets of MedIMeta (Woerner et al., zenodo.org/records/7884735): where they lie, and what their tasks are.

A set is a folder, as it is unpacked. ``info.yaml`` names its tasks and their classes, ``images/000000.tiff`` are its
images, ``task_labels/TASK.npy`` their classes, and ``splits/test.txt`` lists the images of a split.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError, suggest
from ...section import read_section

ROOT_VARIABLE = "MERGE_MEDIMETA_ROOT"
SEVERAL = "MULTILABEL_CLASSIFICATION"


@dataclass(frozen=True)
class Labelling:
    """One task of a set: its name, and its classes in the order of their numbers."""

    name: str
    classes: tuple[str, ...]


def medimeta_folder(text: str, where: str) -> Path:
    """Return the folder of ``ID`` or ``ID/TASK``.

    Raises:
        UsageError: There is no such set on this machine, or it has no such task of one class an image.
    """
    root = _root()
    identity, _, task = text.partition("/")
    if not identity or not (root / identity / "info.yaml").is_file():
        there = sorted(path.parent.name for path in root.glob("*/info.yaml"))
        hint = suggest(identity, there) or f"unpack it there; {ROOT_VARIABLE} names another folder"
        raise UsageError(f"no MedIMeta set '{identity}' in {root}", where=where, hint=hint)
    labelling(root / identity, task, where)
    return root / identity


def labelling(folder: Path, task: str, where: str) -> Labelling:
    """Return a task of a set by its name; the set's first one for an empty name.

    Raises:
        UsageError: There is no such task, or it does not give one class an image.
    """
    tasks = _tasks(folder, where)
    names = [str(one.get("task_name")) for one in tasks]
    if task and task not in names:
        hint = suggest(task, names) or f"there are: {', '.join(names)}"
        raise UsageError(f"{folder.name} has no task '{task}'", where=where, hint=hint)
    found = tasks[names.index(task)] if task else tasks[0]
    name, labels = str(found.get("task_name")), found.get("labels")
    if found.get("task_target") == SEVERAL:
        what = f"the task '{name}' of {folder.name} gives an image any number of labels, not one class"
        raise UsageError(what, where=where, hint=f"its tasks: {', '.join(names)}")
    if not isinstance(labels, dict) or sorted(map(str, labels)) != sorted(map(str, range(len(labels)))):
        raise UsageError(f"the labels of the task '{name}' of {folder.name} are not numbered from 0", where=where)
    by_number = {int(number): str(label) for number, label in labels.items()}
    return Labelling(name, tuple(by_number[number] for number in range(len(by_number))))


def _tasks(folder: Path, where: str) -> list[dict[str, Any]]:
    tasks = read_section(folder / "info.yaml", f"{folder.name}/info.yaml").mapping.get("tasks")
    if not isinstance(tasks, list) or not tasks or not all(isinstance(one, dict) for one in tasks):
        raise UsageError(f"{folder.name}/info.yaml lists no tasks", where=where)
    return tasks


def _root() -> Path:
    named = os.environ.get(ROOT_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".medimeta"
