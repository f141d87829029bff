"""Whether the network may be used, and whether what it brings is kept."""

from __future__ import annotations

import os

from ...errors import UsageError
from .shown import shown

CACHE_VARIABLE = "MERGE_CACHE"  # set: weights of the hub are kept in its cache
LOCAL_PROTOCOLS = ("memory", "file", "local")


def is_offline() -> bool:
    """Tell whether ``--offline`` or ``HF_HUB_OFFLINE`` forbids the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_cache_wanted() -> bool:
    """Tell whether ``--cache`` or its variable asks for whole files in the cache of the hub."""
    return os.environ.get(CACHE_VARIABLE, "0") not in ("", "0")


def refuse_offline(location: str) -> None:
    """Raise UsageError for a location that only the network leads to, where that must not be used."""
    if is_offline():
        hint = "without --offline and HF_HUB_OFFLINE, or name a copy on this machine"
        raise UsageError("this is elsewhere, and the network must not be used", where=shown(location), hint=hint)
