"""Adapters elsewhere. They are small and read as a whole, so they are brought here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import MergeError, UsageError
from .headers import GUESS_BYTES
from .hub import HubStore, list_repository, pinned
from .hub_cache import snapshot_in_cache
from .hub_calls import UnreachableError
from .places import open_place
from .reference import SAFETENSORS_SUFFIXES, HubReference, hub_page, hub_reference, is_url
from .store import Store, temporary_folder

_CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_MODEL = ("config.json", "model_index.json")  # beside the weights of models, and of no adapter


class FetchedAdapter(NamedTuple):
    """An adapter that is here now.

    Attributes:
        path: Its folder or its one file.
        origin: What names it for good, where the location does not.
    """

    path: Path
    origin: str | None


def fetch_adapter(location: str) -> FetchedAdapter:
    """Bring an adapter here.

    Args:
        location: An id of the hub, or the URL of a folder or file.

    Raises:
        MergeError: It cannot be fetched.
        UsageError: It is no adapter.
    """
    from huggingface_hub.constants import ENDPOINT

    reference = hub_reference(location) or hub_page(location, ENDPOINT)
    if reference is not None:
        return _fetch_from_hub(location, reference)
    if not is_url(location):
        raise UsageError("neither a URL nor an id of the hub", where=location)
    store, name = open_place(location)
    if name:
        return FetchedAdapter(_fetch_file(store, name), store.origin)
    return FetchedAdapter(_fetch(store), store.origin)


def _fetch_from_hub(location: str, reference: HubReference) -> FetchedAdapter:
    folder, _, name = reference.path.rpartition("/")
    try:
        listing = list_repository(reference, location)
    except UnreachableError as error:
        snapshot = snapshot_in_cache(reference)
        if snapshot is None or not _is_adapter(snapshot / reference.path):
            what = f"no such local path, not in the cache of the hub, and the hub cannot be asked: {error}"
            raise MergeError(what, where=location, hint="HF_HOME says where the cache is") from None
        return FetchedAdapter(snapshot / reference.path, None)
    if reference.path in listing.paths:
        store = HubStore(location, reference._replace(path=folder), listing)
        beside = [other for other in (_CONFIG,) if other in store.names]
        return FetchedAdapter(store.fetch([name, *beside]) / name, pinned(reference, listing.commit))
    store = HubStore(location, reference, listing)
    return FetchedAdapter(_fetch(store), store.origin)


def _is_adapter(path: Path) -> bool:
    """Tell whether a path in the cache is an adapter as a whole."""
    return path.is_file() or (path / _CONFIG).is_file() or len(_single_files(_names_in(path))) == 1


def _names_in(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()] if path.is_dir() else []


def _fetch(store: Store) -> Path:
    """Bring the files of a folder's adapter: those of PEFT, or the one file of weights where there is no more."""
    names = [name for name in _FILES if name in store.names]
    if _CONFIG in store.names and names:
        return store.fetch([_CONFIG, names[0]])
    single = _single_files(store.names)
    if len(single) == 1:
        return store.fetch(single) / single[0]
    if len(single) > 1:
        hint = f"name one by its address, such as hf://org/name/{single[0]}"
        raise UsageError(
            f"has no {_CONFIG}, and {len(single)} files that may be adapters", where=store.where, hint=hint
        )
    hint = f"the folder of an adapter holds {_CONFIG} and its weights, or one file of them alone"
    raise UsageError("this is no adapter", where=store.where, hint=hint)


def _single_files(names: Sequence[str]) -> list[str]:
    """Return the files that may be an adapter without a configuration; none beside that of a model."""
    return [] if any(name in names for name in _MODEL) else [n for n in names if n.endswith(SAFETENSORS_SUFFIXES)]


def _fetch_file(store: Store, name: str) -> Path:
    """Bring a file of which only the address is known."""
    file = store.file(name)
    try:
        content = memoryview(bytearray(file.start(GUESS_BYTES).size))
        file.read_into(0, content)
    finally:
        file.close()
    path = temporary_folder() / (name or "adapter.safetensors")
    path.write_bytes(content)
    return path
