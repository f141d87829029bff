"""``merge verify`` of an adapter that was made of several: makes it again and compares it, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.strength import FULL, Strength
from ...documents import VerifyDocument
from ...dtypes import parse_dtype
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
    models = [_model(item, where, section.name) for item, where in section.items("models")]
    rank, most = (section.whole_number(key, least=1) for key in ("rank", "max_rank"))
    energy = section.number("energy")
    return Request(
        tuple(model.text("model", "") for model in models),
        section.text(KEY, ""),
        dict(section.section("options").mapping) if "options" in given else {},
        given_strengths=tuple(map(_strength, models)),
        own_options=tuple(
            {key: value for key, value in model.mapping.items() if key not in ("model", "strength")} for model in models
        ),
        truncation=None if rank is None and energy is None else Truncation(rank, energy, most),
        only=tuple(section.texts("only")),
        skip=tuple(section.texts("skip")),
        any_base=bool(given.get("any_base")),
        dtype=parse_dtype(section.text("dtype", ""), where=section.where("dtype")) if "dtype" in given else None,
        seed=section.whole_number("seed", least=0) or 0,
        folder=folder,
    )


def _model(item: object, where: str, name: str) -> Section:
    if not isinstance(item, dict):
        raise UsageError("an adapter is a mapping with `model:`", where=where)
    return Section(name, item)


def _strength(model: Section) -> Strength:
    if "strength" not in model.mapping:
        return FULL
    numbers = model.numbers("strength")
    if len(numbers) != len(FULL):
        raise UsageError(f"'strength' needs {len(FULL)} numbers", where=model.where("strength"))
    return Strength(*numbers)
