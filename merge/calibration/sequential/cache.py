"""Where activations are between two blocks: in memory, or in files that are gone at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

Key = tuple[int, int, str]  # model, batch, what it is


class Cache(Protocol):
    """Tensors on the CPU by the place where they belong."""

    def put(self, key: Key, tensors: Mapping[int, Tensor]) -> None:
        """Keep tensors, in place of those that were there. Raises MergeError when there is no room."""

    def get(self, key: Key) -> Mapping[int, Tensor]:
        """Return what was put; not to be changed."""

    def drop(self, key: Key) -> None:
        """Forget what was put, if anything was."""


class MemoryCache:
    """Keeps them as they are."""

    def __init__(self) -> None:
        self._kept: dict[Key, Mapping[int, Tensor]] = {}

    def put(self, key: Key, tensors: Mapping[int, Tensor]) -> None:
        """Keep tensors."""
        self._kept[key] = tensors

    def get(self, key: Key) -> Mapping[int, Tensor]:
        """Return what was put."""
        return self._kept[key]

    def drop(self, key: Key) -> None:
        """Forget what was put."""
        self._kept.pop(key, None)


class DiskCache:
    """Keeps each entry in a safetensors file of its own.

    Args:
        folder: Where; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: Key, tensors: Mapping[int, Tensor]) -> None:
        """Write tensors."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        try:
            save_file({str(number): tensor.contiguous() for number, tensor in tensors.items()}, self._path(key))
        except (OSError, SafetensorError) as error:
            raise MergeError(f"cannot keep activations: {error}", where=str(self._folder)) from None

    def get(self, key: Key) -> Mapping[int, Tensor]:
        """Read what was put."""
        from safetensors.torch import load_file

        return {int(number): tensor for number, tensor in load_file(self._path(key)).items()}

    def drop(self, key: Key) -> None:
        """Remove the file."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        model, batch, what = key
        return self._folder / f"{model}-{batch}-{what}"


@contextmanager
def open_cache(kind: str, beside: Path) -> Iterator[Cache]:
    """Open a cache for a while.

    Args:
        kind: ``memory`` or ``disk``.
        beside: A file; a folder for activations is made where it is to be, and removed at the end.

    Raises:
        MergeError: The folder cannot be made.
    """
    if kind == "memory":
        yield MemoryCache()
    else:
        with temporary_folder(beside, "activations") as folder:
            yield DiskCache(folder)


@contextmanager
def temporary_folder(beside: Path, what: str) -> Iterator[Path]:
    """Make a folder beside a file, and remove it at the end, or after a run that was killed.

    Args:
        beside: The file; whoever calls has the lock of those who build it.
        what: What the folder is for, as part of its name.

    Raises:
        MergeError: It cannot be made.
    """
    folder = beside.with_name(f".{beside.name}-{what}")
    try:  # an interrupt may come as soon as the folder is there
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        except OSError as error:
            raise MergeError(f"cannot keep {what}: {error.strerror}", where=str(beside.parent.absolute())) from None
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
