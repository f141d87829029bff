"""Checkpoints by their id on the Hugging Face hub, through the shared cache of huggingface_hub."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ..errors import MergeError
from .quiet import quiet_transformers

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
# Configuration, tokenizer and processor; no code.
_SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
# No pickles, no other formats of the same weights.
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_PREFIXES = ("hf:", "hub:")
_WHOLE = "model.safetensors"
_UNREACHABLE = "the network is off or cannot be reached"
_HINT = "let it be downloaded once with the network on; HF_HOME says where the cache is"


def is_hub_id(name: str) -> bool:
    """Tell whether a name reads like ``org/name`` or ``org/name@revision``."""
    return _HUB_ID.fullmatch(name) is not None


def without_prefix(name: str) -> str:
    """Return a name without the ``hf:`` or ``hub:`` that says that it is one of the hub."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def fetch(name: str) -> Path:
    """Return the folder of a model of the hub in the local cache, downloading what is missing there.

    Raises:
        MergeError: There is no such model; or no network (or ``--offline``) and its weights are not in the cache.
    """
    with nullcontext() if sys.stderr.isatty() else quiet_transformers():  # bars are for a terminal
        folder = _snapshot(name, (*_WEIGHTS, *_SETTINGS))
    _refuse_absent(_missing_weights(folder), name, folder)
    return folder


def fetch_settings(name: str, needed: Sequence[str]) -> Path:
    """Return the folder of a model's configuration and tokenizer in the local cache; no weights are downloaded.

    Args:
        name: ``org/name`` or ``org/name@revision``.
        needed: Files of which one must be there.

    Raises:
        MergeError: There is no such model; or no network (or ``--offline``) and the files are not in the cache.
    """
    with quiet_transformers():  # the files are small: no bars
        folder = _snapshot(name, _SETTINGS)
    missing = None if any((folder / file).is_file() for file in needed) else needed[0]
    _refuse_absent(missing, name, folder)
    return folder


def _snapshot(name: str, wanted: Sequence[str]) -> Path:
    """Return the folder, which may lack files when there is no network. Raises MergeError when there is none."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted)))
    except RepositoryNotFoundError:
        hint = "check the spelling; a private model needs HF_TOKEN"
        raise MergeError("the hub has no such model, and there is no such local path", where=name, hint=hint) from None
    except LocalEntryNotFoundError as error:
        if incomplete := getattr(error, "snapshot_path", None):  # newer versions know that files are missing
            return Path(incomplete)
        what = f"not in the local cache ({constants.HF_HUB_CACHE}), and {_UNREACHABLE}"
        raise MergeError(what, where=name, hint=_HINT) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MergeError(f"cannot be fetched from the hub: {first_line}", where=name) from None


def _missing_weights(folder: Path) -> str | None:
    """Return the name of a file of weights that is not there, if one is missing."""
    from ..checkpoints.checkpoint import read_json_object

    for index in sorted(folder.glob(_WEIGHTS[1])):
        shards = read_json_object(index).get("weight_map")
        names = sorted({str(shard) for shard in shards.values()}) if isinstance(shards, dict) else []
        return next((shard for shard in names if not (folder / shard).is_file()), None)
    return None if any(path.is_file() for path in folder.glob(_WEIGHTS[0])) else _WHOLE


def _refuse_absent(missing: str | None, name: str, folder: Path) -> None:
    """Raise MergeError for a missing file, unless it is missing on the hub too: then its reader says what it needs."""
    if missing is not None and not _is_reachable(name):
        what = f"{missing} is not in the local cache ({folder}), and {_UNREACHABLE}"
        raise MergeError(what, where=name, hint=_HINT)


def _is_reachable(name: str) -> bool:
    from huggingface_hub import HfApi

    repository, _, revision = name.partition("@")
    try:
        HfApi().repo_info(repository, revision=revision or None)
    except Exception:  # whatever the HTTP client raises
        return False
    return True
