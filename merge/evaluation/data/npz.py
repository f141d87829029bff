"""Labelled images from the arrays of an npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError, suggest
from .arrays import channels_first, class_numbers, no_labels
from .claims import check_member
from .image_set import ArrayImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data_source import DataSource


def load(source: DataSource) -> ArrayImages:
    """Load one split.

    Raises:
        UsageError: The file or an array in it is not what the benchmark says.
        MergeError: An array does not fit in memory.
    """
    assert source.path is not None  # noqa: S101 -- an npz file has a path
    stored, numbers = _read_npz(source.path, source)
    images = channels_first(stored, source.where)
    labels = no_labels(len(images)) if numbers is None else class_numbers(numbers, source.where)
    if len(images) != len(labels):
        raise UsageError(f"{len(images)} images but {len(labels)} labels", where=source.where)
    return ArrayImages(images, labels, source.names)


def _read_npz(path: Path, source: DataSource) -> tuple[NDArray[Any], NDArray[Any] | None]:
    import numpy as np

    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UsageError(f"{path.name} is a single array; an npz file is expected", where=source.where)
        with archive:
            images = _array(archive, source.images, source)
            is_there = any(name in archive for name in _names(source.labels, source))
            return images, _array(archive, source.labels, source) if source.needs_labels or is_there else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read {path.name} as an npz file: {error}", where=source.where) from None


def _names(key: str, source: DataSource) -> tuple[str, str]:
    """Return what an array may be called: as the benchmark says, or with the split before it, MedMNIST's form."""
    return key, f"{source.split}_{key}"


def _array(archive: Any, key: str, source: DataSource) -> NDArray[Any]:
    for name in _names(key, source):
        if name in archive:
            check_member(archive.zip, name, where=source.where)
            array: NDArray[Any] = archive[name]
            return array
    what = f"no array '{key}' or '{source.split}_{key}'; there are: {', '.join(archive.files) or 'none'}"
    splits = [name.removesuffix(f"_{key}") for name in archive.files if name.endswith(f"_{key}")]
    named = "'images' and 'labels' beside 'path' name the arrays"
    hint = f"splits: {', '.join(splits)}" if splits else suggest(key, archive.files) or named
    raise UsageError(what, where=source.where, hint=hint)
