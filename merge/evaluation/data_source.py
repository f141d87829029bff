"""The ``data:`` of a benchmark file: where labelled images are, in which form, and under which names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ..checkpoints.local_path import near_name
from ..errors import UsageError
from ..section import Section
from .data.medimeta import medimeta_folder
from .data.medmnist import medmnist_file, medmnist_names
from .data.opening import check_installed, saved_split
from .data.shared import Shared
from .hub import is_hub_id
from .resizing import Resizing, read_resizing

Form = Literal["npz", "digits", "medmnist", "medimeta", "folder", "saved", "parquet", "hub"]
TABLES: tuple[Form, ...] = ("saved", "parquet", "hub")
KEYS = ("path", "split", "images", "labels")
# Which forms have which key besides; a key that a form would ignore is refused.
MORE_KEYS: dict[Form, tuple[str, ...]] = dict.fromkeys((*TABLES, "folder", "medimeta"), ("size", "resize")) | {
    "hub": ("size", "resize", "config", "files"),
}
WHOLE = "all"  # the split of data that has no splits


class Corruption(NamedTuple):
    """What is laid over the images.

    Attributes:
        name: A corruption.
        severity: 1 to 5.
        benchmark: Name of the clean benchmark, where this is one of the set that its mean corruption error is over.
    """

    name: str
    severity: int
    benchmark: str | None = None


class PublishedCorruption(Corruption):
    """One whose images MedMNIST-C publishes, so that they are read instead of made."""

    __slots__ = ()


@dataclass(frozen=True)
class DataSource:
    """Where the labelled images are.

    Attributes:
        path: A file, folder or pattern of files; None for the bundled digits and for data of the hub.
        split: The part that is used; for data without parts what the rows of results call it.
        images: Name of the array or column; nothing for an image folder.
        labels: The same for the labels.
        where: Place in the benchmark file, for messages.
        form: How the data is stored.
        text: The path as the benchmark writes it.
        config: Which configuration of a data set of the hub.
        files: Which parquet files of a data set of the hub hold the split, so that the others are not downloaded.
        resizing: How encoded images are brought to a model's size.
        corruption: What is laid over the images.
        shared: What other benchmarks have loaded already, where they differ in the corruption alone.
        needs_labels: False for calibration, which takes data without labels too.
    """

    path: Path | None
    split: str
    images: str
    labels: str
    where: str
    form: Form = "npz"
    text: str = ""
    config: str | None = None
    files: str | None = None
    resizing: Resizing = field(default_factory=Resizing)
    corruption: Corruption | None = None
    shared: Shared | None = field(default=None, compare=False)
    needs_labels: bool = True

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the classes, where they are known without reading the data."""
        return medmnist_names(self.text) if self.form == "medmnist" else None


def read_data_source(section: Section, folder: Path) -> DataSource:
    """Read the ``data:`` of a benchmark; paths are relative to the folder.

    Raises:
        UsageError: With the place of what is wrong.
    """
    data = section.section("data")
    data.check_keys((*KEYS, *MORE_KEYS["hub"]), required=("path",))
    text = data.text("path", "")
    path, form = _find(text, folder, data.where("path"))
    _check_keys(data, form)
    if form in TABLES:
        check_installed(data.where("path"))
    return DataSource(
        path=path,
        split=data.text("split", _default_split(path, form)),
        images=data.text("images", "images"),
        labels=data.text("labels", "labels"),
        where=data.where("path"),
        form=form,
        text=text,
        config=data.text("config", "-") if "config" in data.mapping else None,
        files=data.text("files", "-") if "files" in data.mapping else None,
        resizing=read_resizing(data),
    )


def _check_keys(data: Section, form: Form) -> None:
    without_arrays = form in ("folder", "medimeta")
    of_form = {key for key in KEYS if not without_arrays or key not in ("images", "labels")}
    of_form |= {*MORE_KEYS.get(form, ())}
    for key in data.mapping:
        if key not in of_form:
            hint = f"keys of this form: {', '.join(sorted(of_form))}"
            raise UsageError(f"'{key}' means nothing for data in the form '{form}'", where=data.where(key), hint=hint)


def _default_split(path: Path | None, form: Form) -> str:
    """Return what a benchmark gets that names no split: ``test``, or all of what has no parts."""
    if path is None or form in ("npz", "medmnist"):
        return "test"
    if form == "saved" and not (path / "dataset_dict.json").is_file():
        return saved_split(path) or WHOLE
    if form == "folder":
        return "test" if (path / "test").is_dir() else WHOLE
    return WHOLE if form == "parquet" and not path.is_dir() else "test"


def _find(text: str, folder: Path, where: str) -> tuple[Path | None, Form]:
    """Tell where and in which form data is, by its name and by what lies there."""
    kind, _, name = text.partition(":")
    if kind == "builtin":
        if name == "digits":
            return None, "digits"
        raise UsageError(f"unknown bundled data '{text}'", where=where, hint="there is builtin:digits")
    if kind == "medmnist":
        return medmnist_file(name, where), "medmnist"
    if kind == "medimeta":
        return medimeta_folder(name, where), "medimeta"
    if kind == "hub":
        if not is_hub_id(name):
            raise UsageError(f"'{name}' is no id of a data set", where=where, hint="write hub:org/name@revision")
        return None, "hub"
    return _find_local(text, folder, where)


def _find_local(text: str, folder: Path, where: str) -> tuple[Path | None, Form]:
    path = folder / Path(text).expanduser()
    if path.is_dir():
        return path, _folder_form(path)
    if path.suffix == ".parquet" and (path.is_file() or any(path.parent.glob(path.name))):
        return path, "parquet"
    if path.is_file():
        return path, "npz"
    if is_hub_id(text) and not path.suffix:
        return None, "hub"
    hint = "an npz file, a folder, parquet files, hub:org/name, medmnist:NAME, medimeta:ID or builtin:digits"
    raise UsageError(f"no such data file: {text}", where=where, hint=near_name(path) or hint)


def _folder_form(path: Path) -> Form:
    if any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json")):
        return "saved"
    has_parquet = any(path.glob("*.parquet")) or any(path.glob("*/*.parquet"))
    return "parquet" if has_parquet else "folder"
