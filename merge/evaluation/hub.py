"""Checkpoints by their id on the Hugging Face hub, through the shared cache of huggingface_hub."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import MergeError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
# Weights, configuration, tokenizer and processor; no code, no pickles, no other formats of the same weights.
_WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]


def is_hub_id(name: str) -> bool:
    """Tell whether a name reads like ``org/name`` or ``org/name@revision``."""
    return _HUB_ID.fullmatch(name) is not None


def fetch(name: str) -> Path:
    """Return the folder of a model of the hub in the local cache, downloading what is missing there.

    Raises:
        MergeError: There is no such model, no network, or with ``--offline`` nothing of it in the cache.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=_WANTED))
    except RepositoryNotFoundError:
        hint = "check the spelling; a private model needs HF_TOKEN"
        raise MergeError("the hub has no such model, and there is no such local path", where=name, hint=hint) from None
    except LocalEntryNotFoundError:
        hint = "let it be downloaded once with the network on; HF_HOME says where the cache is"
        what = f"not in the local cache ({constants.HF_HUB_CACHE}), and the network is off or cannot be reached"
        raise MergeError(what, where=name, hint=hint) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MergeError(f"cannot be fetched from the hub: {first_line}", where=name) from None
