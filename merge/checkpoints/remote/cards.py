"""The card of an output elsewhere."""

from __future__ import annotations

from pathlib import Path

from ...errors import MergeError
from ..bringing import companion_of
from ..checkpoint import FileCheckpoint
from ..companions import CARD
from .places import open_place
from .reference import SAFETENSORS_SUFFIXES, hub_reference, is_url


def fetch_card(source: FileCheckpoint) -> tuple[Path | None, str]:
    """Bring the card of an output here.

    Args:
        source: The output.

    Returns:
        Its path, None where there is none, and what stands for it in messages.
    """
    location = source.location
    if not is_url(location) or not location.endswith(SAFETENSORS_SUFFIXES) or hub_reference(location):
        return companion_of(source, CARD), f"{location.rstrip('/')}/{CARD}"
    address = f"{location}.md"
    try:
        store, name = open_place(address)
        return (store.fetch([name]) / name if name else None), address
    except MergeError:  # a file in a folder of ours has the folder's card
        return companion_of(source, CARD), address
