"""From a location elsewhere to an open checkpoint, by headers only."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError, suggest
from ..checkpoint import FileCheckpoint
from ..companions import is_companion
from ..folders import by_name, indexed_tensors, open_folder
from ..foreign import refuse_names
from .checkpoint import RemoteCheckpoint
from .choosing import choose_weights, pickled_weights, weights_in
from .components import files_of, find_components, open_remote_components
from .headers import Opened, open_headers
from .hub import HubStore, Listing, list_repository, pinned
from .hub_cache import open_from_cache
from .hub_calls import UnreachableError
from .offline import is_cache_wanted
from .places import open_place
from .reference import SAFETENSORS_SUFFIXES, HubReference, hub_page, hub_reference, is_url
from .shown import shown
from .store import Store

_KEPT = "and kept in the cache of the hub"


def open_remote(location: str) -> FileCheckpoint:
    """Open a checkpoint elsewhere.

    Args:
        location: A URL, or an id of the hub.

    Raises:
        MergeError: It is not there, cannot be read, or is no sound checkpoint.
        UsageError: The location is none that can be read.
    """
    from huggingface_hub.constants import ENDPOINT

    reference = hub_reference(location) or hub_page(location, ENDPOINT)
    if reference is not None:
        return _open_hub(location, reference)
    if not is_url(location):
        raise UsageError("neither a URL nor an id of the hub", where=location)
    if location.startswith(("file://", "local://")):
        return _open_here(location)
    store, name = open_place(location)
    if name:
        return _open_file(location, store, name)
    if found := find_components(store):
        return open_remote_components(location, store, found, _open_store)
    return _open_store(location, store)


def _open_here(location: str) -> FileCheckpoint:
    from fsspec.core import url_to_fs

    from ..resolve import open_checkpoint

    source = open_checkpoint(url_to_fs(location)[1])
    source.location = location
    return source


def _open_hub(location: str, reference: HubReference) -> FileCheckpoint:
    try:
        listing = list_repository(reference, location)
    except UnreachableError as error:
        return open_from_cache(location, reference, str(error))
    if reference.path in listing.paths:
        return _open_hub_file(location, reference, listing)
    store = HubStore(location, reference, listing)
    if reference.path and not store.names:
        what = f"there is no '{reference.path}' in this repository"
        raise UsageError(what, where=location, hint=suggest(reference.path, listing.paths))
    found = find_components(store)
    if found is None:
        return _open_hub_store(location, store)
    if is_cache_wanted():
        return _open_copies(location, store, files_of(store, found, weights_in), _KEPT)
    return open_remote_components(location, store, found, _open_hub_store)


def _open_hub_store(location: str, store: HubStore) -> FileCheckpoint:
    """Open a folder of one model of the hub."""
    if pickles := pickled_weights(store.names):
        return _open_copies(location, store, pickles, "only as pickles, which are kept whole in the cache of the hub")
    if is_cache_wanted():
        return _open_copies(location, store, weights_in(store), _KEPT)
    return _open_store(location, store)


def _open_hub_file(location: str, reference: HubReference, listing: Listing) -> FileCheckpoint:
    folder, _, name = reference.path.rpartition("/")
    refuse_names([name], f"{location.removesuffix(name)}")
    if not name.endswith(SAFETENSORS_SUFFIXES):
        raise UsageError("this is no safetensors file", where=location, hint="name the folder that it lies in")
    store = HubStore(location.removesuffix(f"/{name}"), reference._replace(path=folder), listing)
    store.origin = pinned(reference, listing.commit)
    return _open_file(location, store, name)


def _open_copies(location: str, store: HubStore, names: list[str], how: str) -> FileCheckpoint:
    """Bring whole files into the shared cache and open them there."""
    beside = [name for name in store.names if is_companion(name)]
    source = open_folder(location, store.fetch([*dict.fromkeys([*names, *beside])], bars=True))
    source.origin = store.origin
    source.notes += [f"{store.notes[0]}, {how}"]
    return source


def _open_file(location: str, store: Store, name: str) -> RemoteCheckpoint:
    opened = open_headers([store.file(name)])
    has_model = "config.json" in store.names  # as for a file on this machine
    return RemoteCheckpoint(
        shown(location),
        store if has_model else None,
        opened,
        by_name(opened[0].header.tensors),
        notes=[*store.notes, *_doubts(opened)],
        origin=store.origin,
        stated=store.stated_hashes,
    )


def _open_store(location: str, store: Store) -> RemoteCheckpoint:
    chosen = choose_weights(store)
    opened = open_headers([store.file(name) for name in chosen.files])
    if chosen.weight_map is None:
        tensors, notes = by_name(opened[0].header.tensors), list[str]()
    else:
        shards = zip(chosen.files, (each.header for each in opened), strict=True)
        tensors, notes = indexed_tensors(chosen.weight_map, shards, f"{store.where}/{chosen.index_name}")
    return RemoteCheckpoint(
        shown(location),
        store,
        opened,
        tensors,
        weights_name=chosen.weights_name,
        notes=[*store.notes, *chosen.notes, *notes, *_doubts(opened)],
        origin=store.origin,
        stated=store.stated_hashes,
    )


def _doubts(opened: Sequence[Opened]) -> list[str]:
    """Return what cannot be told of the files while they are read, each once."""
    return list(dict.fromkeys(each.file.doubt for each in opened if each.file.doubt is not None))
