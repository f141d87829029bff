"""Labelled images in the rows of a table: parquet files, what datasets.save_to_disk wrote, and data of the hub."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .arrays import channels_first, class_numbers, no_labels
from .columns import Form, classes_of, find_column, image_form, inner_type
from .decoding import BrokenImage
from .encoded import EncodedImages
from .image_set import ArrayImages
from .opening import open_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data_source import DataSource


@dataclass(frozen=True)
class Rows:
    """Images in the cells of a column: the bytes of a file, or a mapping that has them under ``bytes``."""

    table: Any
    column: str

    def name(self, item: int) -> str:
        """Return the number of the row, from 0, and the name of its file where it has one."""
        cell = self.table[item][self.column]
        path = cell.get("path") if isinstance(cell, dict) else None
        return f"row {item} ({Path(path).name})" if path else f"row {item}"

    def read(self, item: int) -> bytes:
        """Return the bytes of one cell. Raises BrokenImage when it has none, OSError when it names no such file."""
        cell = self.table[item][self.column]
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if data is not None:
            return bytes(data)
        if isinstance(cell, dict) and cell.get("path"):
            return Path(cell["path"]).read_bytes()
        raise BrokenImage("the cell is empty")


def load(source: DataSource) -> EncodedImages | ArrayImages:
    """Load one split.

    Raises:
        UsageError: No such split or column, or a column that holds no images or no class numbers.
        MergeError: The data cannot be read or fetched.
    """
    table, notes = open_table(source)
    images = find_column(table.features, source.images, ("image", "img"), source.where)
    form = image_form(table.features[images], images, source.where)
    numbers, classes = _labels(table, source)
    if form == "arrays":
        _refuse_resizing(source, images)
        return ArrayImages(_arrays(table, images, source.where), numbers, classes, notes)
    return replace(_encoded(table, images, form, numbers, source), classes=classes, notes=notes)


def _encoded(table: Any, images: str, form: Form, labels: NDArray[np.int64], source: DataSource) -> EncodedImages:
    import numpy as np

    columns = table.select_columns([images])
    if form == "feature":
        from datasets import Image

        columns = columns.cast_column(images, Image(decode=False))
    rows = Rows(columns.with_format(None), images)
    return EncodedImages(rows, np.arange(len(labels)), labels, None, source.resizing, source.where)


def _labels(table: Any, source: DataSource) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Return the class numbers, and the names of the classes if the table has them."""
    try:
        name = find_column(table.features, source.labels, ("label",), source.where)
        classes = classes_of(table.features[name], name, source.where)
        return _numbers(table, name, source.where), classes
    except UsageError:
        if source.needs_labels:
            raise
        return no_labels(len(table)), None


def _numbers(table: Any, name: str, where: str) -> NDArray[np.int64]:
    import numpy as np

    numbers = _column(table, name)
    if numbers.dtype.kind == "f" and np.isnan(numbers).any():  # whole numbers with gaps become floats
        raise UsageError(f"the column '{name}' has empty cells", where=where)
    return class_numbers(numbers, where)


def _column(table: Any, name: str, **options: Any) -> NDArray[Any]:
    """Return a whole column [n, …] as an array."""
    import numpy as np

    return np.asarray(table.select_columns([name]).with_format("numpy", **options)[:][name])


def _arrays(table: Any, name: str, where: str) -> NDArray[Any]:
    import numpy as np

    arrays = _column(table, name, dtype=np.dtype(inner_type(table.features[name])))
    if arrays.dtype.kind == "O":
        raise UsageError(f"the arrays in the column '{name}' are of several shapes", where=where)
    return channels_first(arrays, where)


def _refuse_resizing(source: DataSource, column: str) -> None:
    if source.resizing != type(source.resizing)():
        what = f"'size' and 'resize' are for encoded images; the column '{column}' holds arrays"
        raise UsageError(what, where=source.where)
