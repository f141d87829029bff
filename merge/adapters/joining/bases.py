"""Whether adapters may be of one base, as far as they say, and are of one form."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import MergeError
from .member import Member


def check_forms(members: Sequence[Member]) -> None:
    """Refuse files of kohya's form together with folders of PEFT's: their modules go by other names.

    Raises:
        MergeError: Naming both.
    """
    for member in members[1:]:
        if member.is_single_file != members[0].is_single_file:
            one, other = ("one file", "a folder of PEFT") if member.is_single_file else ("a folder of PEFT", "one file")
            what = f"is {one}, and {members[0].location} {other}; they name modules in ways of their own"
            raise MergeError(what, where=member.location, hint="merge the models BASE+ADAPTER instead")


def check_bases(members: Sequence[Member]) -> None:
    """Refuse bases whose names differ in their last part: before it stands where somebody kept them.

    Raises:
        MergeError: Naming both.
    """
    families = [member for member in members if member.family is not None]
    for member in families[1:]:
        first = families[0]
        if member.family != first.family:
            what = f"is an adapter for {_title(member)}, and {first.location} for {_title(first)}"
            raise MergeError(what, where=member.location, hint="they add to weights of other shapes")
    named = [(member, name) for member in members if (name := member.base_name) is not None]
    for member, name in named[1:]:
        first, known = named[0]
        if _last(name) != _last(known):
            what = f"was trained on {name}, and {first.location} on {known}"
            hint = "what they add belongs to different weights; --force-base if the bases are the same after all"
            raise MergeError(what, where=member.location, hint=hint)


def _title(member: Member) -> str:
    from ...diffusion.families import TITLES

    return str(TITLES.get(member.family or "", member.family))


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
