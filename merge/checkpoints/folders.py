"""A folder with weights: one file, several with an index, or one model a component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import UsageError
from .checkpoint import FileCheckpoint
from .foreign import refuse_folder
from .header import Header, TensorInfo
from .header_file import read_header
from .shards import read_weight_map, refuse_absent, shard_path, surplus
from .variants import Meant, meant_among

BUNDLE = "merge.json"  # the file that makes a folder a bundle
INDEX_SUFFIX = ".safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")


def by_name(tensors: list[TensorInfo]) -> dict[str, TensorInfo]:
    """Return tensors by their names."""
    return {tensor.name: tensor for tensor in tensors}


def open_folder(location: str, path: Path) -> FileCheckpoint:
    """Open the weights of a folder, those of all its components where it is a folder of such.

    Raises:
        MergeError: They are damaged.
        UsageError: There are none, or several that may be meant.
    """
    from .components.opening import open_components

    refuse_bundle(location, path)
    return open_components(location, path) or open_one_model(location, path)


def open_one_model(location: str, path: Path) -> FileCheckpoint:
    """Open the weights of a folder of one model: safetensors, or where there are none, what torch.save wrote.

    Raises:
        MergeError: They are damaged.
        UsageError: There are none, or several that may be meant.
    """
    names = sorted(file.name for file in path.iterdir() if file.is_file())
    meant = meant_among(names, location)
    if meant is not None and meant.is_index:
        return _open_sharded(location, path, meant)
    files = [name for name in names if name.endswith((".safetensors", ".st"))]
    if not files and any(name.endswith(PICKLE_SUFFIXES) for name in names):
        from .pickled_folder import open_pickled_folder

        if pickled := open_pickled_folder(location, path):
            return pickled
    if meant is None and not files:
        refuse_folder(location, path)
    if meant is None and len(files) != 1:
        hint = (
            "name one of the files"
            if files
            else "a folder needs *.safetensors or pytorch_model.bin, with an index if there are several"
        )
        found = ", ".join(files) or "no safetensors file"
        raise UsageError(f"the folder holds {found}", where=location, hint=hint)
    chosen = meant or Meant(files[0], False, files[0], [])
    whole = path / chosen.file
    header = read_header(whole)
    notes, name = chosen.notes, chosen.weights_name
    return FileCheckpoint(
        location, [whole], by_name(header.tensors), header.metadata, folder=path, weights_name=name, notes=notes
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


def _open_sharded(location: str, path: Path, meant: Meant) -> FileCheckpoint:
    index = path / meant.file
    weight_map = read_weight_map(index)
    shards = sorted(set(weight_map.values()))
    files = [shard_path(path, shard, index) for shard in shards]
    headers = [read_header(file, file=number) for number, file in enumerate(files)]
    tensors, notes = indexed_tensors(weight_map, zip(shards, headers, strict=True), str(index))
    metadata = headers[0].metadata if headers else {}
    notes = [*meant.notes, *notes]
    return FileCheckpoint(location, files, tensors, metadata, folder=path, weights_name=meant.weights_name, notes=notes)
