"""Which files of a folder elsewhere are the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...errors import MergeError, UsageError, some_of
from ..folders import BUNDLE, INDEX_SUFFIX, PICKLE_SUFFIXES
from ..foreign import refuse_names
from ..shards import read_weight_map, refuse_outside
from ..variants import PICKLES, Meant, meant_among
from .reference import SAFETENSORS_SUFFIXES
from .store import Store

_PICKLED_INDEX = re.compile(r"\.bin\.index(\.\w+)?\.json$")
_FOREIGN = (".gguf", ".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".mlmodel", ".npz")
_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.")


class Chosen(NamedTuple):
    """The weights of a folder.

    Attributes:
        files: Their names, in order.
        weights_name: Name that a single-file output in a folder should have.
        weight_map: Of an index, from tensor to file.
        index_name: The name of that index.
        notes: What lies beside them.
    """

    files: list[str]
    weights_name: str
    weight_map: Mapping[str, str] | None = None
    index_name: str | None = None
    notes: Sequence[str] = ()


def choose_weights(store: Store) -> Chosen:
    """Return the safetensors files of a folder: those of its index, or the one that there is.

    Raises:
        MergeError: The index is damaged.
        UsageError: There are none, or several that may be meant.
    """
    if BUNDLE in store.names:
        hint = f"name the checkpoints that its {BUNDLE} lists"
        raise UsageError("this is a bundle of several checkpoints, and one is wanted", where=store.where, hint=hint)
    meant = meant_among(store.names, store.where)
    if meant is not None and meant.is_index:
        return _choose_shards(store, meant)
    files = [name for name in store.names if name.endswith(SAFETENSORS_SUFFIXES)]
    if meant is None and len(files) != 1:
        raise _none_or_several(store, files)
    chosen = meant or Meant(files[0], False, files[0], [])
    shard = _SHARD.search(chosen.file)
    if shard and int(shard[1]) > 1:
        what = f"holds {chosen.file}, one of several shards, and no index"
        raise MergeError(what, where=store.where, hint="its upload may not be finished")
    return Chosen([chosen.file], chosen.weights_name, notes=chosen.notes)


def _choose_shards(store: Store, meant: Meant) -> Chosen:
    index = meant.file
    weight_map = read_weight_map(store.fetch([index]) / index)
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        refuse_outside(shard, f"{store.where}/{index}")
    absent = next((shard for shard in shards if shard not in store.names), None)
    if absent is not None:
        what = f"names the shard {absent}, which is not in the folder"
        raise MergeError(what, where=f"{store.where}/{index}", hint="its upload may not be finished")
    return Chosen(shards, meant.weights_name, weight_map, index, meant.notes)


def pickled_weights(names: Sequence[str]) -> list[str]:
    """Return the files that torch.save wrote, with their index, where there are no safetensors."""
    if any(name.endswith((INDEX_SUFFIX, *SAFETENSORS_SUFFIXES)) for name in names):
        return []
    meant = meant_among(names, "", PICKLES)
    if meant is not None and not meant.is_index:
        return [meant.file]
    weights = [name for name in names if name.endswith(PICKLE_SUFFIXES)]
    return [*weights, *(name for name in names if _PICKLED_INDEX.search(name))] if weights else []


def weights_in(store: Store) -> list[str]:
    """Return the files of weights of a folder, and their index.

    Raises:
        MergeError: The index is damaged.
        UsageError: There are none, or several that may be meant.
    """
    if pickles := pickled_weights(store.names):
        return pickles
    chosen = choose_weights(store)
    return [*chosen.files, *([chosen.index_name] if chosen.index_name else [])]


def _none_or_several(store: Store, files: Sequence[str]) -> MergeError:
    refuse_names([] if files else store.names, store.where)
    if files:
        what = f"the folder holds {', '.join(files)}"
        return UsageError(what, where=store.where, hint="name one of the files with its whole address")
    weights = [name for name in store.names if name.endswith((*PICKLE_SUFFIXES, *_FOREIGN))]
    listed = weights or store.names
    found = f"no safetensors, only {some_of(listed)}" if listed else "nothing"
    hint = "convert it to safetensors first" if weights else "is this the repository or folder of a model?"
    return UsageError(f"holds {found}", where=store.where, hint=hint)
