"""``merge verify`` of an adapter that was made of several: makes it again and compares it, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.strength import FULL, Strength
from ...documents import VerifyDocument
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...section import Section
from ..low_rank.comparing import compare
from ..low_rank.truncation import Truncation
from .describing import KEY, member_id
from .request import Request
from .running import made_again

_KEYS = (KEY, "models", "options", "rank", "energy", "max_rank", "only", "skip", "any_base", "dtype", "seed")


def verify_joined(out: FileCheckpoint, section: Section, folder: Path | None, settings: RunSettings) -> VerifyDocument:
    """Make an adapter again from the adapters that its card names, and compare.

    Args:
        out: The adapter.
        section: The recipe in its card.
        folder: Folder from which locations in the card count.
        settings: How to run; none of it changes the verdict.

    Raises:
        MergeError: An input cannot be read any more, or the card was changed.
    """
    try:
        with made_again(read_card(section, folder), settings) as (united, made):
            locations = [member.location for member in united.members]
            return compare(out, made.tensors, locations, [member_id(member) for member in united.members])
    except UsageError as error:  # the request was sound; what it stands on has changed
        raise MergeError(error.what, where=error.where, hint=error.hint) from None


def read_card(section: Section, folder: Path | None) -> Request:
    """Return the request that a card records.

    Raises:
        UsageError: It is not as it was written.
    """
    section.check_keys(_KEYS, required=(KEY, "models"))
    given = section.mapping
    models = [dict(model) for model in given["models"]]
    cut = {key: given.get(key) for key in ("rank", "energy", "max_rank")}
    return Request(
        tuple(str(model.pop("model")) for model in models),
        str(given[KEY]),
        dict(given.get("options") or {}),
        given_strengths=tuple(Strength(*model.pop("strength", FULL)) for model in models),
        own_options=tuple(models),
        truncation=None if cut["rank"] is None and cut["energy"] is None else Truncation(**cut),
        only=tuple(given.get("only") or ()),
        skip=tuple(given.get("skip") or ()),
        any_base=bool(given.get("any_base")),
        dtype=given.get("dtype"),
        seed=int(given.get("seed", 0)),
        folder=folder,
    )
