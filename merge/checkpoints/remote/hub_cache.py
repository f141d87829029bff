"""Repositories whose files all lie in the shared cache of the hub already, for when there is no network."""

from __future__ import annotations

from pathlib import Path

from ...errors import MergeError
from ..checkpoint import FileCheckpoint
from ..folders import open_folder
from .hub import pinned
from .hub_calls import quiet_hub
from .reference import HubReference

_HINT = "let it be downloaded once with --cache and the network on; HF_HOME says where the cache is"


def open_from_cache(location: str, reference: HubReference, why: str) -> FileCheckpoint:
    """Open the copy in the cache.

    Args:
        location: What the user wrote.
        reference: What it means.
        why: Why the hub is not asked: ``offline``, or what went wrong.

    Raises:
        MergeError: It is not there, or not as a whole.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    reason = "the network must not be used" if why == "offline" else f"the hub cannot be reached ({why})"
    snapshot = snapshot_in_cache(reference)
    place = snapshot / reference.path if snapshot and reference.path else snapshot
    if snapshot is None or place is None or not place.exists():
        what = f"no such local path, not in the cache of the hub ({HF_HUB_CACHE}), and {reason}"
        raise MergeError(what, where=location, hint=_HINT)
    try:
        source = _open(location, place)
    except MergeError as error:
        what = f"not whole in the cache of the hub ({error.what}), and {reason}"
        raise MergeError(what, where=location, hint=_HINT) from None
    source.origin = pinned(reference, snapshot.name)
    source.notes += [f"is read from the cache of the hub on this machine, at commit {snapshot.name}; {reason}"]
    return source


def _open(location: str, place: Path) -> FileCheckpoint:
    if place.is_dir():
        return open_folder(location, place)
    from ..resolve import open_checkpoint

    source = open_checkpoint(str(place))
    source.location = location
    return source


def snapshot_in_cache(reference: HubReference) -> Path | None:
    """Return the folder of a revision in the cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found: str | None
    try:
        with quiet_hub():
            found = snapshot_download(reference.repository, revision=reference.revision, local_files_only=True)
    except LocalEntryNotFoundError as error:
        found = getattr(error, "snapshot_path", None)  # newer versions know that files are missing
    except ValueError:  # no valid id
        return None
    return Path(found) if found else None
