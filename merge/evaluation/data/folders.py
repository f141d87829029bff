"""Image folders: ``FOLDER/SPLIT/CLASS/image.png``, or ``FOLDER/CLASS/image.png`` without splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError, some_of, suggest
from ..data_source import WHOLE
from .arrays import no_labels
from .decoding import BrokenImage
from .encoded import EncodedImages

if TYPE_CHECKING:
    from ..data_source import DataSource

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Files:
    """Images in files; they are called by their paths below the folder."""

    folder: Path
    paths: Sequence[Path]

    def name(self, item: int) -> str:
        """Return the path below the folder."""
        return str(self.paths[item].relative_to(self.folder))

    def read(self, item: int) -> bytes:
        """Return the bytes of one file. Raises BrokenImage for what is no file, OSError for what cannot be read."""
        path = self.paths[item]
        if path.exists() and not path.is_file():  # a pipe would never end
            raise BrokenImage("neither a file nor a link to one")
        return path.read_bytes()


def load(source: DataSource) -> EncodedImages:
    """List one split; the classes are the folders, numbered in the order of their names.

    Raises:
        UsageError: No such split, no folders for classes, no images, or classes that the training split has and this
            one lacks, which would number the others differently.
    """
    import numpy as np

    assert source.path is not None  # noqa: S101 -- a folder has a path
    split = _split(source.path, source)
    if not source.needs_labels and images_directly(split):
        return _without_classes(images_below(split), source)
    classes = _classes(split, source)
    paths, labels = [], []
    for number, folder in enumerate(classes):
        found = images_below(folder)
        paths += found
        labels += [number] * len(found)
    if not paths:
        hint = f"files are known by their suffixes: {', '.join(SUFFIXES)}"
        raise UsageError(f"no images in the folders for classes in {split}", where=source.where, hint=hint)
    return EncodedImages(
        storage=Files(source.path, paths),
        items=np.arange(len(paths)),
        labels=np.array(labels, np.int64),
        classes=tuple(folder.name for folder in classes),
        resizing=source.resizing,
        where=source.where,
    )


def _without_classes(paths: Sequence[Path], source: DataSource) -> EncodedImages:
    """Return images that lie in one folder, so that nothing says of which classes they are."""
    import numpy as np

    assert source.path is not None  # noqa: S101 -- a folder has a path
    files, labels = Files(source.path, paths), no_labels(len(paths))
    return EncodedImages(files, np.arange(len(paths)), labels, None, source.resizing, source.where)


def images_below(folder: Path) -> list[Path]:
    """Return all that is named like an image below a folder, links to nothing too, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if _is_image(path) and not path.is_dir())


def _split(folder: Path, source: DataSource) -> Path:
    """Return the folder whose folders are the classes."""
    if source.split == WHOLE and not (folder / WHOLE).is_dir():
        splits = [child.name for child in _folders(folder) if _folders(child)]
        if splits and not any(images_directly(child) for child in _folders(folder)):
            what = "the folder has splits; name one with 'split'"
            raise UsageError(what, where=source.where, hint=f"there are: {', '.join(splits)}")
        return folder
    if not (folder / source.split).is_dir():
        names = [child.name for child in _folders(folder)]
        shown = some_of(names) or "none"
        hint = suggest(source.split, names) or f"there are: {shown}; without 'split' these are the classes"
        raise UsageError(f"no split '{source.split}' in {folder}", where=source.where, hint=hint)
    _check_classes(folder, source)
    return folder / source.split


def _check_classes(folder: Path, source: DataSource) -> None:
    training = {child.name for child in _folders(folder / "train")} if (folder / "train").is_dir() else set()
    missing = sorted(training - {child.name for child in _folders(folder / source.split)})
    if missing:
        what = f"'{source.split}' lacks classes that 'train' has: {some_of(missing)}; the others would be numbered anew"
        raise UsageError(what, where=source.where, hint="make an empty folder for each of them")


def _classes(split: Path, source: DataSource) -> list[Path]:
    _refuse_lost_classes(split, source)
    classes = _folders(split)
    if classes:
        return classes
    what = f"no folders for classes in {split}"
    hint = "an image belongs into the folder of its class: SPLIT/CLASS/image.png"
    if not images_directly(split):
        what = f"no images in {split}"
    raise UsageError(what, where=source.where, hint=hint)


def _refuse_lost_classes(split: Path, source: DataSource) -> None:
    """Refuse links to nothing: a class that is left out would number the others anew."""
    for child in sorted(split.iterdir()):
        if child.is_symlink() and not child.exists() and not child.name.startswith("."):
            raise UsageError(f"'{child.name}' in {split} is a link to nothing", where=source.where)


def images_directly(folder: Path) -> bool:
    """Tell whether there are image files in a folder itself."""
    return any(_is_image(path) for path in folder.iterdir())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by their names; hidden ones hold no class."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
