"""From what the user wrote to an open checkpoint: a file by its content, or a folder with or without an index."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import MergeError, UsageError, suggest
from .checkpoint import FileCheckpoint, read_json_object
from .header import LENGTH_BYTES, MAXIMUM_HEADER_BYTES, Header, TensorInfo, parse_header

BUNDLE = "merge.json"  # the file that makes a folder a bundle
INDEX_SUFFIX = ".safetensors.index.json"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, probably a PyTorch pickle",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"GGUF": "a GGUF file",
    b"\x89HDF": "an HDF5 file",
}
_CONVERT = "convert it to safetensors where you trust it; nothing of it was loaded or executed"


def open_checkpoint(location: str, *, relative_to: Path | None = None) -> FileCheckpoint:
    """Open a checkpoint by reading its headers only.

    Args:
        location: A safetensors file under any name, or a folder.
        relative_to: Folder from which a relative path counts; the current one by default.

    Raises:
        MergeError: When nothing is there, or what is there is no sound checkpoint.
    """
    path = local_path(location, relative_to)
    if path.is_dir():
        return _open_folder(location, path)
    if path.exists() and not path.is_file():
        raise MergeError("neither a file nor a folder", where=location, hint="save what it gives to a file first")
    if path.exists():
        folder = path.parent if (path.parent / "config.json").is_file() else None
        header = read_header(path)
        return FileCheckpoint(location, [path], _by_name(header.tensors), header.metadata, folder=folder)
    raise _not_found(location, path)


def local_path(location: str | Path, relative_to: Path | None = None) -> Path:
    """Return the path that a user means: ``~`` is the home folder, unless no such user is known.

    Raises:
        UsageError: For a name that is no valid text, which no card could record.
    """
    path = Path(location)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError("the file name is no valid UTF-8", where=repr(str(path)), hint="rename it") from None
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return (relative_to or Path()) / path


def _not_found(location: str, path: Path) -> MergeError:
    try:
        near = suggest(path.name, os.listdir(path.parent))
    except OSError:
        near = None
    if location.count("/") == 1 and not location.startswith((".", "/", "~")):
        near = near or "no such local path; hub ids are not read by this version, download the model first"
    return UsageError("no such file or folder", where=location, hint=near)


def read_header(path: Path, *, file: int = 0) -> Header:
    """Read and validate the header of one file.

    Raises:
        MergeError: When it is no sound safetensors file.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(LENGTH_BYTES + 1)
            length = _header_length(start, size, where)
            stream.seek(LENGTH_BYTES)
            raw = stream.read(length)
    except OSError as error:
        raise MergeError(f"cannot read it: {error.strerror}", where=where) from None
    return parse_header(raw, file_size=size, where=where, file=file)


def _header_length(start: bytes, size: int, where: str) -> int:
    if not size:
        raise MergeError("the file is empty", where=where)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic) and start[LENGTH_BYTES:] != b"{":
            raise MergeError(f"this is {kind}, not a safetensors file", where=where, hint=_CONVERT)
    if size <= LENGTH_BYTES or start[LENGTH_BYTES:] != b"{":
        raise MergeError("not a safetensors file", where=where)
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > MAXIMUM_HEADER_BYTES:
        raise MergeError(f"its header claims {length:,} bytes; the format allows 100 MB", where=where)
    if length > size - LENGTH_BYTES:
        raise MergeError(
            f"its header claims {length:,} bytes, but the file has {size:,}", where=where, hint="truncated or damaged"
        )
    return length


def _by_name(tensors: list[TensorInfo]) -> dict[str, TensorInfo]:
    return {tensor.name: tensor for tensor in tensors}


def _open_folder(location: str, path: Path) -> FileCheckpoint:
    refuse_bundle(location, path)
    indexes = sorted(path.glob(f"*{INDEX_SUFFIX}"))
    if len(indexes) > 1:
        names = ", ".join(index.name for index in indexes)
        raise UsageError(f"the folder holds several indexes: {names}", where=location, hint="name one file instead")
    if indexes:
        return _open_sharded(location, path, indexes[0])
    files = sorted(path.glob("*.safetensors")) + sorted(path.glob("*.st"))
    whole = [file for file in files if file.name == "model.safetensors"] or files
    if len(whole) != 1:
        found = ", ".join(file.name for file in files) or "no safetensors file"
        hint = "name one of the files" if files else "a folder needs *.safetensors, with an index if there are several"
        raise UsageError(f"the folder holds {found}", where=location, hint=hint)
    header = read_header(whole[0])
    notes = [f"{file.name} lies beside it and is not read" for file in files if file != whole[0]]
    return FileCheckpoint(
        location, whole, _by_name(header.tensors), header.metadata, folder=path, weights_name=whole[0].name, notes=notes
    )


def refuse_bundle(location: str, path: Path) -> None:
    """Raise UsageError for a folder that is a bundle: it is joined when it runs and has no weights of its own."""
    if (path / BUNDLE).is_file():
        hint = f"name the checkpoints that its {BUNDLE} lists; merge eval takes a bundle as it is"
        raise UsageError("this is a bundle of several checkpoints, and one is wanted", where=location, hint=hint)


def _open_sharded(location: str, path: Path, index: Path) -> FileCheckpoint:
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise MergeError("has no 'weight_map' from tensor to file name", where=str(index))
    shards = sorted(set(weight_map.values()))
    headers = [_read_shard(path, shard, number, index) for number, shard in enumerate(shards)]
    tensors: dict[str, TensorInfo] = {}
    notes = []
    for shard, header in zip(shards, headers, strict=True):
        for tensor in header.tensors:
            if weight_map.get(tensor.name) == shard:
                tensors[tensor.name] = tensor
            else:
                notes.append(f"{shard} holds '{tensor.name}', which the index does not give to it; not read")
    absent = [name for name in weight_map if name not in tensors]
    if absent:
        raise MergeError(
            f"names '{absent[0]}', which {weight_map[absent[0]]} does not hold ({len(absent)} such)", where=str(index)
        )
    metadata = headers[0].metadata if headers else {}
    name = index.name.removesuffix(INDEX_SUFFIX) + ".safetensors"
    files = [path / shard for shard in shards]
    return FileCheckpoint(location, files, tensors, metadata, folder=path, weights_name=name, notes=notes)


def _read_shard(path: Path, shard: str, number: int, index: Path) -> Header:
    if shard != os.path.basename(shard) or shard in {"", ".", ".."}:  # noqa: PTH119 - a string, not yet a path
        raise MergeError(f"names the file '{shard}' outside its folder", where=str(index))
    if not (path / shard).is_file():
        raise MergeError(f"names the shard {shard}, which is missing", where=str(index), hint="download it again")
    return read_header(path / shard, file=number)
