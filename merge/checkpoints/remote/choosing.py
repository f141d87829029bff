"""Which files of a folder elsewhere are the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...errors import MergeError, UsageError
from ..folders import BUNDLE, INDEX_SUFFIX, PICKLE_SUFFIXES
from ..shards import read_weight_map
from .reference import SAFETENSORS_SUFFIXES
from .store import Store

WHOLE = "model.safetensors"
_PICKLED_INDEX = ".bin.index.json"
_FOREIGN = (".gguf", ".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".mlmodel", ".npz")
_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.")
_SHOWN = 6


class Chosen(NamedTuple):
    """The weights of a folder.

    Attributes:
        files: Their names, in order.
        weight_map: Of an index, from tensor to file.
        index_name: The name of that index.
        notes: What lies beside them.
    """

    files: list[str]
    weight_map: Mapping[str, str] | None = None
    index_name: str | None = None
    notes: Sequence[str] = ()

    @property
    def weights_name(self) -> str:
        """Name that a single-file output in a folder should have."""
        return f"{self.index_name.removesuffix(INDEX_SUFFIX)}.safetensors" if self.index_name else self.files[0]


def choose_weights(store: Store) -> Chosen:
    """Return the safetensors files of a folder: those of its index, or the one that there is.

    Raises:
        MergeError: The index is damaged.
        UsageError: There are none, or several that may be meant.
    """
    if BUNDLE in store.names:
        hint = f"name the checkpoints that its {BUNDLE} lists"
        raise UsageError("this is a bundle of several checkpoints, and one is wanted", where=store.where, hint=hint)
    indexes = [name for name in store.names if name.endswith(INDEX_SUFFIX)]
    if len(indexes) > 1:
        what = f"the folder holds several indexes: {', '.join(indexes)}"
        raise UsageError(what, where=store.where, hint="name one file instead")
    if indexes:
        return _choose_shards(store, indexes[0])
    files = [name for name in store.names if name.endswith(SAFETENSORS_SUFFIXES)]
    whole = [name for name in files if name == WHOLE] or files
    if len(whole) != 1:
        raise _none_or_several(store, files)
    shard = _SHARD.search(whole[0])
    if shard and int(shard[1]) > 1:
        what = f"holds {whole[0]}, one of several shards, and no index"
        raise MergeError(what, where=store.where, hint="its upload may not be finished")
    return Chosen(whole, notes=[f"{name} lies beside it and is not read" for name in files if name != whole[0]])


def _choose_shards(store: Store, index: str) -> Chosen:
    weight_map = read_weight_map(store.fetch([index]) / index)
    shards = sorted(set(weight_map.values()))
    absent = next((shard for shard in shards if shard not in store.names), None)
    if absent is not None:
        what = f"names the shard {absent}, which is not in the folder"
        raise MergeError(what, where=f"{store.where}/{index}", hint="its upload may not be finished")
    return Chosen(shards, weight_map, index)


def pickled_weights(names: Sequence[str]) -> list[str]:
    """Return the files that torch.save wrote, with their index, where there are no safetensors."""
    if any(name.endswith((INDEX_SUFFIX, *SAFETENSORS_SUFFIXES)) for name in names):
        return []
    weights = [name for name in names if name.endswith(PICKLE_SUFFIXES)]
    return [*weights, *(name for name in names if name.endswith(_PICKLED_INDEX))] if weights else []


def _none_or_several(store: Store, files: Sequence[str]) -> UsageError:
    if files:
        what = f"the folder holds {', '.join(files)}"
        return UsageError(what, where=store.where, hint="name one of the files with its whole address")
    weights = [name for name in store.names if name.endswith((*PICKLE_SUFFIXES, *_FOREIGN))]
    listed = weights or store.names
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    found = f"no safetensors, only {', '.join(listed[:_SHOWN])}{more}" if listed else "nothing"
    hint = "convert it to safetensors first" if weights else "is this the repository or folder of a model?"
    return UsageError(f"holds {found}", where=store.where, hint=hint)
