"""A folder with weights: one file, or several with an index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import UsageError
from .checkpoint import FileCheckpoint
from .header import Header, TensorInfo
from .header_file import read_header
from .shards import only_index, read_weight_map, refuse_absent, shard_path, surplus

BUNDLE = "merge.json"  # the file that makes a folder a bundle
INDEX_SUFFIX = ".safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")


def by_name(tensors: list[TensorInfo]) -> dict[str, TensorInfo]:
    """Return tensors by their names."""
    return {tensor.name: tensor for tensor in tensors}


def open_folder(location: str, path: Path) -> FileCheckpoint:
    """Open the weights of a folder: safetensors, or where there are none, what torch.save wrote.

    Raises:
        MergeError: They are damaged.
        UsageError: There are none, or several that may be meant.
    """
    refuse_bundle(location, path)
    index = only_index(location, path, INDEX_SUFFIX)
    if index is not None:
        return _open_sharded(location, path, index)
    files = sorted(path.glob("*.safetensors")) + sorted(path.glob("*.st"))
    if not files and any(file.suffix in PICKLE_SUFFIXES for file in path.iterdir()):
        from .pickled_folder import open_pickled_folder

        if pickled := open_pickled_folder(location, path):
            return pickled
    whole = [file for file in files if file.name == "model.safetensors"] or files
    if len(whole) != 1:
        found = ", ".join(file.name for file in files) or "no safetensors file"
        hint = (
            "name one of the files"
            if files
            else "a folder needs *.safetensors or pytorch_model.bin, with an index if there are several"
        )
        raise UsageError(f"the folder holds {found}", where=location, hint=hint)
    header = read_header(whole[0])
    notes = [f"{file.name} lies beside it and is not read" for file in files if file != whole[0]]
    return FileCheckpoint(
        location, whole, by_name(header.tensors), header.metadata, folder=path, weights_name=whole[0].name, notes=notes
    )


def indexed_tensors(
    weight_map: Mapping[str, str], shards: Iterable[tuple[str, Header]], index: str
) -> tuple[dict[str, TensorInfo], list[str]]:
    """Return the tensors that an index gives to its shards, and notes on what else they hold.

    Args:
        weight_map: The shard of every tensor.
        shards: Their names and headers.
        index: What stands for the index in messages.

    Raises:
        MergeError: A shard lacks a tensor that the index gives to it.
    """
    tensors: dict[str, TensorInfo] = {}
    notes = []
    for shard, header in shards:
        for tensor in header.tensors:
            if weight_map.get(tensor.name) == shard:
                tensors[tensor.name] = tensor
            else:
                notes.append(surplus(shard, tensor.name))
    refuse_absent(weight_map, tensors, index)
    return tensors, notes


def refuse_bundle(location: str, path: Path) -> None:
    """Raise UsageError for a folder that is a bundle: it is joined when it runs and has no weights of its own."""
    if (path / BUNDLE).is_file():
        hint = f"name the checkpoints that its {BUNDLE} lists; merge eval takes a bundle as it is"
        raise UsageError("this is a bundle of several checkpoints, and one is wanted", where=location, hint=hint)


def _open_sharded(location: str, path: Path, index: Path) -> FileCheckpoint:
    weight_map = read_weight_map(index)
    shards = sorted(set(weight_map.values()))
    files = [shard_path(path, shard, index) for shard in shards]
    headers = [read_header(file, file=number) for number, file in enumerate(files)]
    tensors, notes = indexed_tensors(weight_map, zip(shards, headers, strict=True), str(index))
    metadata = headers[0].metadata if headers else {}
    name = index.name.removesuffix(INDEX_SUFFIX) + ".safetensors"
    return FileCheckpoint(location, files, tensors, metadata, folder=path, weights_name=name, notes=notes)
