"""Members copied into a bundle, tensors that they have in common stored once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.companions import companions, copy_companions
from ..checkpoints.files import WriteFile
from ..checkpoints.header import TensorInfo, render_entries, render_header
from ..dtypes import DTYPES
from .document import MEMBERS

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint

COMMON = f"{MEMBERS}/shared.safetensors"
WEIGHTS = "model.safetensors"
PIECE_BYTES = 2**22

Digests = Mapping[str, bytes]
Advance = Callable[[int], None]


def common_tensors(members: Sequence[FileCheckpoint], digests: Sequence[Digests]) -> list[tuple[str, ...]]:
    """Return, for every member, the names of the tensors that it has in common with the first or the first with it.

    Only tensors of the same name, type, shape and bytes count.
    """
    first, of_first = members[0], digests[0]
    listed = [
        tuple(name for name in member.tensors if _same(name, first, member, of_first, theirs))
        for member, theirs in zip(members[1:], digests[1:], strict=True)
    ]
    anywhere = {name for names in listed for name in names}
    return [tuple(name for name in first.tensors if name in anywhere), *listed]


def _same(name: str, first: FileCheckpoint, other: FileCheckpoint, of_first: Digests, theirs: Digests) -> bool:
    one, two = first.tensors.get(name), other.tensors[name]
    return one is not None and one[:3] == two[:3] and of_first[name] == theirs[name]


def copy_members(
    folder: Path, members: Sequence[FileCheckpoint], common: Sequence[Sequence[str]], advance: Advance
) -> None:
    """Copy weights and what lies beside them: ``members/1/``, ``members/2/`` … and the file of common tensors.

    Args:
        folder: The bundle, as it is being built.
        members: In order.
        common: What `common_tensors` found.
        advance: Called with every number of bytes that is copied.
    """
    (folder / MEMBERS).mkdir()
    if any(common):
        _copy(folder / COMMON, members[0], common[0], advance)
    for number, (member, shared) in enumerate(zip(members, common, strict=True), 1):
        own = folder / MEMBERS / str(number)
        own.mkdir()
        left = set(shared)
        _copy(own / WEIGHTS, member, [name for name in member.tensors if name not in left], advance)
        copy_companions(member.folder, companions(member.folder), own, None)


def _copy(path: Path, source: FileCheckpoint, names: Sequence[str], advance: Advance) -> None:
    """Copy tensors byte by byte into a new file, wider types first, so that none is misaligned."""
    tensors = sorted((source.tensors[name] for name in names), key=lambda info: -DTYPES[info.dtype].bits)
    slots, end = [], 0
    for info in tensors:
        slots.append((info.name, info.dtype, info.shape, end, end + info.nbytes))
        end += info.nbytes
    header = render_header(render_entries(slots), {"format": "pt"})
    file = WriteFile(path, len(header) + end)
    try:
        file.write(0, memoryview(header))
        for info, (*_, begin, _) in zip(tensors, slots, strict=True):
            _copy_tensor(file, len(header) + begin, source, info, advance)
    finally:
        file.close()


def _copy_tensor(file: WriteFile, begin: int, source: FileCheckpoint, info: TensorInfo, advance: Advance) -> None:
    buffer = memoryview(bytearray(min(PIECE_BYTES, info.nbytes)))
    for offset in range(0, info.nbytes, PIECE_BYTES):
        part = buffer[: min(PIECE_BYTES, info.nbytes - offset)]
        source.read_into(info, offset, part)
        file.write(begin + offset, part)
        advance(len(part))
