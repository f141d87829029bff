"""Checkpoints that torch.save wrote (`.bin`, `.pt`, `.pth`, `.ckpt`), taken as plain tensors: no code of theirs runs.

`torch.load` maps the file and tells names, types and shapes. The bytes are then read from where they lie in the file,
as those of safetensors are; torch serves only the tensors whose entries do not lie one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from ..dtypes import DTYPES
from ..errors import MergeError
from .checkpoint import FileCheckpoint, FileIdentity, check_files
from .choice import CHOICE
from .files import Buffer
from .header import TensorInfo
from .pickled_loading import MOST_TIMES, SMALL_BYTES, Pickle, load_pickle
from .pickled_places import Places

_CODES = {dtype.torch: code for code, dtype in DTYPES.items() if dtype.torch}
BLOCK_BYTES = 4 * 2**20  # that torch copies at once of a tensor with gaps


class PickledCheckpoint(FileCheckpoint):
    """A checkpoint in files of torch.save.

    Args:
        location: What the user wrote.
        files: The files.
        pickles: What each of them holds.
        folder: Where config and tokenizer lie, or None.
    """

    def __init__(self, location: str, files: list[Path], pickles: Sequence[Pickle], folder: Path | None) -> None:
        self._lazy: dict[str, Any] = {}
        tensors: dict[str, TensorInfo] = {}
        for number, (path, pickle) in enumerate(zip(files, pickles, strict=True)):
            for name, tensor in pickle.tensors.items():
                if name in tensors:
                    raise MergeError(f"holds '{name}', as a file before it does", where=str(path))
                tensors[name] = self._info(name, tensor, number, len(files), pickle.places, path)
        notes = [note for pickle in pickles for note in pickle.notes]
        super().__init__(location, files, tensors, {}, folder=folder, notes=notes)
        self._on_disk = self.identities

    def _info(self, name: str, tensor: Any, number: int, files: int, places: Places, path: Path) -> TensorInfo:
        """Describe a tensor by its place in the file, or keep it for torch to read, with a file number of its own."""
        code = _CODES.get(str(tensor.dtype).removeprefix("torch."))
        if code is None or (odd := _oddness(tensor)):
            what = f"'{name}' is {tensor.dtype if code is None else odd}, which safetensors does not know"
            raise MergeError(what, where=str(path), hint="save it as a common tensor")
        shape, nbytes = tuple(tensor.shape), tensor.numel() * tensor.element_size()
        start = places.start_of(tensor)
        if start is None and nbytes:
            self._lazy[name] = tensor
            number, start = files + len(self._lazy), 0
        return TensorInfo(name, code, shape, number, start or 0, nbytes)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        lazy = self._lazy.get(tensor.name)
        if lazy is None:
            super().read_into(tensor, offset, buffer)
        elif len(buffer):
            _read_rows(lazy, offset, buffer)

    def mark(self, chosen: str) -> None:
        """Let the checkpoint be told from one of other weights in the same files."""
        mark = FileIdentity(f"{CHOICE}{chosen}", 0, 0, 0, xxhash.xxh3_64_intdigest(chosen.encode()))
        self.identities = [*self._on_disk, mark] if chosen else self._on_disk

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        check_files(self.files, self._on_disk)

    def close(self) -> None:
        """Close the files."""
        self._lazy.clear()
        super().close()


def _oddness(tensor: Any) -> str | None:
    """Return in a word why a tensor is no plain array, or None."""
    if str(tensor.layout) != "torch.strided" or tensor.is_nested:
        return "a sparse or nested tensor"
    if tensor.is_meta:
        return "a meta tensor without values"
    size = tensor.numel() * tensor.element_size()
    if size > max(SMALL_BYTES, MOST_TIMES * tensor.untyped_storage().nbytes()):
        return f"a tensor of {size:,} bytes made of a few that it repeats"
    return None


def _read_rows(tensor: Any, offset: int, buffer: Buffer) -> None:
    """Fill a buffer from a tensor with gaps, some rows at a time."""
    from .memory import as_bytes

    tensor = tensor.detach().resolve_conj().resolve_neg()
    tensor = tensor if tensor.dim() else tensor.reshape(1)
    size = tensor[0].numel() * tensor.element_size()
    rows, done = max(1, BLOCK_BYTES // size), 0
    while done < len(buffer):
        row, start = divmod(offset + done, size)
        part = as_bytes(tensor[row : row + rows])[start:][: len(buffer) - done]
        buffer[done : done + len(part)] = part
        done += len(part)


def open_pickles(location: str, files: list[Path], folder: Path | None, chosen: str = "") -> PickledCheckpoint:
    """Open files of torch.save; their tensors are mapped, not read.

    Args:
        location: What the user wrote.
        files: The files.
        folder: Where config and tokenizer lie, or None.
        chosen: The wrapper in them that is wanted, where the user names one.

    Raises:
        MergeError: A file is damaged, was not written by torch.save, or holds more than plain tensors.
    """
    opened = PickledCheckpoint(location, files, [load_pickle(path, chosen) for path in files], folder)
    opened.mark(chosen)
    return opened
