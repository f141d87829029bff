"""What counts around models and slices: method, base, and values for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .methods import Known
from .request import Member
from .settings import Settings
from .shelf import Shelf


def _anything(name: str) -> bool:
    return True


@dataclass(frozen=True)
class Frame:
    """The surroundings of a list of models or slices.

    Attributes:
        known: The method.
        base: The base, where one is given.
        scopes: The parameters that count for all models, the narrowest first.
        where: Where the method stands.
        shelf: The models that can be named.
        wants: Tells by their names which tensors are merged: those of a module.
    """

    known: Known
    base: Member | None
    scopes: tuple[Settings, ...]
    where: str
    shelf: Shelf
    wants: Callable[[str], object] = _anything


def check_count(known: Known, members: Sequence[Member], where: str, *, besides: str = "") -> None:
    """Refuse too few or too many models.

    Raises:
        UsageError: Saying how many the method merges.
    """
    count, least, most = len(members), known.least, known.most
    if least <= count and (most is None or count <= most):
        return
    number = "one model" if least == 1 else f"{least} models"
    wanted = f"{'exactly' if least == most else 'at least'} {number}{besides}"
    what = f"mergekit's {known.name} merges {wanted}, and here {'is' if count == 1 else 'are'} {count or 'none'}"
    hint = "base_model counts as one of them" if known.base == "one more" and count > 1 else None
    raise UsageError(what, where=where, hint=hint)


def check_base(known: Known, base: Member | None, where: str) -> None:
    """Refuse to do without a base where the method needs one.

    Raises:
        UsageError: There is none.
    """
    if base is None and known.needs_base:
        raise UsageError(f"mergekit's {known.name} needs a base", where=where, hint="add `base_model: PATH`")
