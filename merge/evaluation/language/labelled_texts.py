"""Labelled texts or pairs of texts: JSON Lines, CSV, parquet, folders of ``datasets``, and data sets of the hub."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checkpoints.local_path import near_name
from ...errors import UsageError
from ...section import Section
from ..data.arrays import class_numbers, no_labels
from ..data.columns import find_column
from ..data_source import TABLES, WHOLE, DataSource, read_data_source
from .line_files import LINES, read_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEYS = ("path", "split", "config", "files", "text", "text_pair", "labels")
OF_FILES = ("path", "text", "text_pair", "labels")  # keys of files of lines, which have no splits
LEAST = 2  # an interval needs two items


@dataclass(frozen=True)
class LabelledTextSource:
    """Where labelled texts are.

    Attributes:
        source: Place and split of the table; columns of labels.
        text: The column of texts.
        text_pair: The column of second texts, if each item is a pair.
        target: The column of texts that a model with a decoder of its own has to give; for calibration alone.
    """

    source: DataSource
    text: str
    text_pair: str | None
    target: str | None = None

    @property
    def split(self) -> str:
        """The part of the data that is used."""
        return self.source.split


@dataclass(frozen=True)
class LabelledTexts:
    """Texts [n], second texts [n] or none, class numbers [n], and texts to be given [n] or none."""

    texts: Sequence[str]
    pairs: Sequence[str] | None
    labels: NDArray[np.int64]
    targets: Sequence[str] | None = None


def has_texts(section: Section) -> bool:
    """Tell whether the ``data:`` of a benchmark names a column of texts."""
    data = section.mapping.get("data")
    return isinstance(data, dict) and "text" in data


def read_labelled_text_source(section: Section, folder: Path) -> LabelledTextSource:
    """Read the ``data:`` of a benchmark. Raises UsageError with the place of what is wrong."""
    data = section.section("data")
    data.check_keys(KEYS, required=("path", "text"))
    text = data.text("text", "")
    pair = data.text("text_pair", "") if "text_pair" in data.mapping else None
    path = folder / Path(data.text("path", "")).expanduser()
    if path.suffix in LINES:
        return LabelledTextSource(_file(data, path), text, pair)
    table = copy.deepcopy(data.mapping)
    for key in ("text", "text_pair"):
        table.pop(key, None)
    source = read_data_source(Section(section.name, {"data": table}), folder)
    if source.form not in TABLES:
        hint = "a .jsonl, .csv or .parquet file, a folder of the library datasets, or hub:org/name"
        raise UsageError(f"'{source.text}' holds no table of texts", where=source.where, hint=hint)
    return LabelledTextSource(replace(source, images="-"), text, pair)


def load_labelled_texts(data: LabelledTextSource) -> LabelledTexts:
    """Load one split.

    Raises:
        UsageError: No such split or column, or a column that holds no texts or no class numbers.
        MergeError: The data cannot be read or fetched.
    """
    where = data.source.where
    columns = _columns(data)
    texts = _texts(columns, data.text, where)
    pairs = _texts(columns, data.text_pair, where) if data.text_pair else None
    targets = _texts(columns, data.target, where) if data.target else None
    if len(texts) < LEAST and data.source.needs_labels:
        raise UsageError(f"{len(texts)} texts are too few: an interval needs at least {LEAST}", where=where)
    if not texts:
        raise UsageError("there is no text", where=where)
    return LabelledTexts(texts, pairs, _labels(columns, data.source, len(texts)), targets)


def _labels(columns: Mapping[str, Sequence[Any]], source: DataSource, n: int) -> NDArray[np.int64]:
    try:
        labels = columns[find_column(columns, source.labels, ("label",), source.where)]
        return class_numbers(_as_array(labels, source.where), source.where)
    except UsageError:
        if source.needs_labels:
            raise
        return no_labels(n)


def _file(data: Section, path: Path) -> DataSource:
    where = data.where("path")
    if not path.is_file():
        raise UsageError(f"no such data file: {data.text('path', '')}", where=where, hint=near_name(path))
    for key in data.mapping:
        if key not in OF_FILES:
            raise UsageError(f"'{key}' means nothing for a file of lines", where=data.where(key))
    return DataSource(path, WHOLE, "-", data.text("labels", "labels"), where, text=data.text("path", ""))


def _columns(data: LabelledTextSource) -> Mapping[str, Sequence[Any]]:
    path, where = data.source.path, data.source.where
    if path is not None and path.suffix in LINES:
        return read_columns(path, where)
    from ..data.opening import open_table

    table, _ = open_table(data.source)
    named = (data.text, data.text_pair, data.target, data.source.labels, "label")
    wanted = [name for name in named if name in table.features]
    read = dict.fromkeys(wanted)
    return {name: table.with_format(None)[:][name] if name in read else () for name in table.features}


def _texts(columns: Mapping[str, Sequence[Any]], name: str, where: str) -> Sequence[str]:
    values = columns[find_column(columns, name, (), where)]
    for number, value in enumerate(values):
        if not isinstance(value, str):
            raise UsageError(f"row {number} has no text under '{name}', but {value!r}", where=where)
    return values


def _as_array(labels: Sequence[Any], where: str) -> NDArray[Any]:
    """Return a column as an array, whole numbers that were written as text, as all cells of a CSV file are, as such."""
    import numpy as np

    with suppress(ValueError):
        labels = [int(label) if isinstance(label, str) else label for label in labels]
    try:
        return np.asarray(labels)
    except ValueError:  # a list in one cell and a number in another
        raise UsageError("labels are not all of one kind; class numbers from 0 are expected", where=where) from None
