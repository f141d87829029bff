"""One split of a MedIMeta set: which images, and their classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError, suggest
from .arrays import class_numbers
from .claims import check_claim
from .encoded import EncodedImages
from .folders import Files
from .medimeta import labelling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data_source import DataSource
    from .medimeta import Labelling


def load(source: DataSource) -> EncodedImages:
    """List one split; images are decoded when they are needed.

    Raises:
        UsageError: There is no such split, or the files do not fit one another.
    """
    import numpy as np

    assert source.path is not None  # noqa: S101 -- a set has a folder
    task = labelling(source.path, source.text.partition("/")[2], source.where)
    numbers = np.array(_split(source.path, source), np.int64)
    labels = _labels(source.path, task, source.where)
    if len(numbers) and numbers.max() >= len(labels):
        what = f"the split '{source.split}' has the image {numbers.max()}, but there are {len(labels)} labels"
        raise UsageError(what, where=source.where)
    paths = [source.path / "images" / f"{number:06d}.tiff" for number in numbers]
    note = f"the data is MedIMeta's {source.path.name}, task '{task.name}'"
    return EncodedImages(
        storage=Files(source.path, paths),
        items=np.arange(len(paths)),
        labels=labels[numbers],
        classes=task.classes,
        resizing=source.resizing,
        where=source.where,
        notes=(note,),
    )


def _split(folder: Path, source: DataSource) -> list[int]:
    """Return the numbers of a split's images, in ascending order as MedIMeta's own library has them."""
    path = folder / "splits" / f"{source.split}.txt"
    if not path.is_file():
        there = sorted(found.stem for found in (folder / "splits").glob("*.txt"))
        hint = suggest(source.split, there) or f"there are: {', '.join(there) or 'none'}"
        raise UsageError(f"{folder.name} has no split '{source.split}'", where=source.where, hint=hint)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        return sorted(int(Path(line).stem) for line in lines if line)
    except ValueError:
        raise UsageError(f"{folder.name}/splits/{path.name} is no list of images", where=source.where) from None


def _labels(folder: Path, task: Labelling, where: str) -> NDArray[np.int64]:
    import numpy as np

    path = folder / "task_labels" / f"{task.name}.npy"
    try:
        with path.open("rb") as stream:
            check_claim(stream, path.stat().st_size, path.name, where=where)
        labels = class_numbers(np.load(path, allow_pickle=False), where)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"cannot read the labels of the task '{task.name}': {error}", where=where) from None
    if len(labels) and labels.max() >= len(task.classes):
        what = f"the task '{task.name}' has the label {labels.max()}, but names {len(task.classes)} classes"
        raise UsageError(what, where=where)
    return labels
