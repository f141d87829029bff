"""The ``data:`` of a benchmark file: where labelled items are, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..section import Section

KEYS = ("path", "split", "images", "labels")


@dataclass(frozen=True)
class DataSource:
    """Where the labelled images are. ``path`` is a file, or None for the digits that come with scikit-learn."""

    path: Path | None
    split: str
    images: str
    labels: str
    where: str


def read_data_source(section: Section, folder: Path) -> DataSource:
    """Read the ``data:`` of a benchmark. Raises UsageError with the place of what is wrong."""
    data = section.section("data")
    data.check_keys(KEYS, required=("path",))
    return DataSource(
        path=_path(data, folder),
        split=data.text("split", "test"),
        images=data.text("images", "images"),
        labels=data.text("labels", "labels"),
        where=data.where("path"),
    )


def _path(data: Section, folder: Path) -> Path | None:
    text, where = data.text("path", ""), data.where("path")
    if text.startswith("builtin:"):
        if text == "builtin:digits":
            return None
        raise UsageError(f"unknown bundled data '{text}'", where=where, hint="there is builtin:digits")
    if not (folder / text).is_file():
        hint = "this version reads .npz files and builtin:digits"
        raise UsageError(f"no such data file: {text}", where=where, hint=hint)
    return folder / text
