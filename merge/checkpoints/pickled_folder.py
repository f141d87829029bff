"""Folders whose weights torch.save wrote: `pytorch_model.bin`, shards with an index, or one file of another name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError
from .folders import PICKLE_SUFFIXES
from .pickled import PickledCheckpoint, open_pickles
from .pickled_loading import Pickle, load_pickle
from .shards import read_weight_map, refuse_absent, shard_path, surplus
from .variants import PICKLES, Meant, meant_among

_STATES = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states", "trainer_state")
_BESIDE = (*_STATES, "openvino_")


def open_pickled_folder(location: str, path: Path) -> PickledCheckpoint | None:
    """Open a folder's weights where torch.save wrote them, or return None where it did not.

    Raises:
        MergeError: They are damaged or hold more than weights.
        UsageError: There are several candidates.
    """
    files = sorted(
        file.name
        for file in path.iterdir()
        if (file.suffix in PICKLE_SUFFIXES or file.suffix == ".json")
        and not file.stem.startswith(_BESIDE)
        and file.is_file()
    )
    meant = meant_among(files, location, PICKLES)
    if meant is not None:
        return _open_meant(location, path, meant)
    files = [name for name in files if name.endswith(PICKLE_SUFFIXES)]
    if len(files) > 1:
        raise UsageError(f"the folder holds {', '.join(files)}", where=location, hint="name one of the files")
    return open_pickles(location, [path / name for name in files], path) if files else None


def _open_meant(location: str, path: Path, meant: Meant) -> PickledCheckpoint:
    file = path / meant.file
    opened = _open_sharded(location, path, file) if meant.is_index else open_pickles(location, [file], path)
    opened.weights_name, opened.notes = meant.weights_name, [*meant.notes, *opened.notes]
    return opened


def _open_sharded(location: str, path: Path, index: Path) -> PickledCheckpoint:
    weight_map = read_weight_map(index)
    shards = sorted(set(weight_map.values()))
    loaded = [_load_shard(path, shard, index, weight_map) for shard in shards]
    found = {name for pickle in loaded for name in pickle.tensors}
    refuse_absent(weight_map, found, index)
    return PickledCheckpoint(location, [path / shard for shard in shards], loaded, path)


def _load_shard(path: Path, shard: str, index: Path, weight_map: Mapping[str, str]) -> Pickle:
    pickle = load_pickle(shard_path(path, shard, index))
    given = {name: tensor for name, tensor in pickle.tensors.items() if weight_map.get(name) == shard}
    others = [surplus(shard, name) for name in pickle.tensors if name not in given]
    return pickle._replace(tensors=given, notes=[*pickle.notes, *others])
