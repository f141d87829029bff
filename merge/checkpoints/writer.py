"""Writes the files of an output: header first, tensors at their final offsets in any order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ..planning.layout import OutputFile
from ..planning.rows import Row
from .files import Buffer, WriteFile
from .header import render_entries, render_header
from .shared_files import FilesOpener, HandedNothing, OpenFiles


def rendered_headers(files: Sequence[OutputFile], metadata: dict[str, str]) -> tuple[list[bytes], list[bytes]]:
    """Return the rendered entries and the whole header of every file."""
    entries = [render_entries(file.slots) for file in files]
    return entries, [render_header(part, metadata) for part in entries]


def is_continuable(files: Sequence[OutputFile], locate: Callable[[str], Path], metadata: dict[str, str]) -> bool:
    """Tell whether every file of an earlier run is still there in its full size."""
    headers = rendered_headers(files, metadata)[1]
    sizes = [len(header) + file.nbytes for file, header in zip(files, headers, strict=True)]
    paths = [locate(file.name) for file in files]
    return all(path.is_file() and path.stat().st_size == size for path, size in zip(paths, sizes, strict=True))


class FileSink(OpenFiles):
    """The output's safetensors files, presized.

    Args:
        files: The files and their tensors.
        locate: Turns a file's name into the path where it is built.
        metadata: Metadata of the same rendered length as the final one.
        keep: Whether files of an earlier run are continued.
    """

    whole_files = False

    def __init__(
        self, files: Sequence[OutputFile], locate: Callable[[str], Path], metadata: dict[str, str], *, keep: bool
    ) -> None:
        self._entries, headers = rendered_headers(files, metadata)
        starts = [len(header) for header in headers]
        sized = zip(files, starts, strict=True)
        super().__init__(
            [WriteFile(locate(file.name), start + file.nbytes, keep=keep) for file, start in sized], starts
        )
        for file, header in zip(self._files, headers, strict=True):
            file.write(0, memoryview(header))

    def elsewhere(self) -> FilesOpener:
        """Return what opens the files in another process."""
        return FilesOpener([file.path.absolute() for file in self._files], self._starts)

    def take(self, handed: None) -> None:
        """Do nothing: other processes write where the bytes belong."""

    def finish(self, metadata: dict[str, str], *, sync: bool) -> None:
        """Enter the final metadata and, where asked, wait for the disk.

        Raises:
            MergeError: When the disk reports an error.
        """
        for file, entries, start in zip(self._files, self._entries, self._starts, strict=True):
            header = render_header(entries, metadata)
            assert len(header) == start, "ids have a fixed width"  # noqa: S101 - a broken promise of ours, no input
            file.write(0, memoryview(header))
            if sync:
                file.sync()


class MemorySink:
    """The output in memory: one buffer per file, as on disk but without headers."""

    def __init__(self, files: Sequence[OutputFile]) -> None:
        self._buffers = [bytearray(file.nbytes) for file in files]

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Copy bytes of a row to their place."""
        start = row.begin + offset
        self._buffers[row.file][start : start + len(buffer)] = buffer

    def bytes_of(self, row: Row, nbytes: int) -> Buffer:
        """Return the bytes of a row."""
        return memoryview(self._buffers[row.file])[row.begin : row.begin + nbytes]


class NullSink:
    """Throws bytes away; their digests are all that is wanted."""

    whole_files = False

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Do nothing."""

    def elsewhere(self) -> type[HandedNothing]:
        """Return what throws bytes away in another process."""
        return HandedNothing

    def take(self, handed: None) -> None:
        """Do nothing."""


def render_indexes(files: Sequence[OutputFile]) -> dict[str, str]:
    """Return the indexes of those models among an output's that are in several files, by the names of the indexes."""
    by_folder: dict[str, list[OutputFile]] = {}
    for file in files:
        by_folder.setdefault(file.name.rpartition("/")[0], []).append(file)
    sharded = [found for found in by_folder.values() if len(found) > 1]
    return {f"{shards[0].name.rsplit('-', 3)[0]}.safetensors.index.json": _render_index(shards) for shards in sharded}


def _render_index(files: Sequence[OutputFile]) -> str:
    """Return the text of the index that names every tensor's shard."""
    weight_map = {slot.name: file.name.rpartition("/")[2] for file in files for slot in file.slots}
    index = {"metadata": {"total_size": sum(file.nbytes for file in files)}, "weight_map": weight_map}
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"
