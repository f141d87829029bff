"""Adapters elsewhere. They are small and read as a whole, so they are brought here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...errors import MergeError, UsageError
from .hub import HubStore, list_repository
from .hub_cache import snapshot_in_cache
from .hub_calls import UnreachableError
from .places import open_place
from .reference import HubReference, hub_reference, is_url
from .store import Store

_CONFIG = "adapter_config.json"
_FILES = (_CONFIG, "adapter_model.safetensors", "adapter_model.bin")


class FetchedAdapter(NamedTuple):
    """An adapter that is here now.

    Attributes:
        folder: Where.
        origin: What names it for good, where the location does not.
    """

    folder: Path
    origin: str | None


def fetch_adapter(location: str) -> FetchedAdapter:
    """Bring an adapter here.

    Args:
        location: An id of the hub, or the URL of a folder.

    Raises:
        MergeError: It cannot be fetched.
        UsageError: It is no adapter.
    """
    reference = hub_reference(location)
    if reference is not None:
        return _fetch_from_hub(location, reference)
    if not is_url(location):
        raise UsageError("neither a URL nor an id of the hub", where=location)
    store, name = open_place(location)
    if name:
        raise UsageError("this is a file", where=location, hint="name the folder of the adapter")
    return FetchedAdapter(_fetch(store), store.origin)


def _fetch_from_hub(location: str, reference: HubReference) -> FetchedAdapter:
    try:
        store = HubStore(location, reference, list_repository(reference, location))
    except UnreachableError as error:
        folder = snapshot_in_cache(reference)
        if folder is None or not (folder / reference.path / _CONFIG).is_file():
            what = f"no such local path, not in the cache of the hub, and the hub cannot be asked: {error}"
            raise MergeError(what, where=location, hint="HF_HOME says where the cache is") from None
        return FetchedAdapter(folder / reference.path, None)
    return FetchedAdapter(_fetch(store), store.origin)


def _fetch(store: Store) -> Path:
    names = [name for name in _FILES if name in store.names]
    if _CONFIG not in names or len(names) < 2:
        hint = f"the folder of an adapter holds {_CONFIG} and its weights"
        raise UsageError("this is no adapter", where=store.where, hint=hint)
    return store.fetch(names[:2])
