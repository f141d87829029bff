"""Several open adapters ▸ what each adds to every module, or the reason why they cannot become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...checkpoints.header import TensorInfo
from ...errors import MergeError, UsageError
from ..low_rank.configuration import PREFIX
from .bases import check_bases, check_forms
from .member import Addend, Member

Wanted = Callable[[str], bool]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class United:
    """What several adapters hold between them.

    Attributes:
        members: The adapters.
        addends: By module, what each adapter adds; None where it leaves the module as it is, which adds 0.
        whole: By name, each adapter's tensor that was trained whole.
        tokens: By module, each adapter's trained rows of an embedding.
        notes: What the user should know.
    """

    members: Sequence[Member]
    addends: Mapping[str, tuple[Addend | None, ...]]
    whole: Mapping[str, tuple[TensorInfo, ...]]
    tokens: Mapping[str, tuple[TensorInfo, ...]]
    notes: list[str]

    def shape_of(self, module: str) -> tuple[int, ...]:
        """Return the shape of the weight to which a module's differences are added."""
        return self.first_of(module).shape

    def first_of(self, module: str) -> Addend:
        """Return what the first adapter that adapts a module adds to it."""
        return next(one for one in self.addends[module] if one is not None)

    @property
    def is_single_file(self) -> bool:
        """Whether the adapters are single files, and the outcome is."""
        return self.members[0].is_single_file

    @property
    def all_whole(self) -> dict[str, tuple[TensorInfo, ...]]:
        """What was trained whole, rows of embeddings too, by the names under which PEFT keeps it in a file."""
        found = [*self.whole.values(), *self.tokens.values()]
        return {f"{PREFIX}{each[0].name.removeprefix(PREFIX)}": each for each in found}


def unite(members: Sequence[Member], wanted: Wanted, *, any_base: bool) -> United:
    """Gather what adapters hold, by module.

    Args:
        members: The adapters.
        wanted: Tells by name which modules and tensors are joined; the others are left out.
        any_base: Whether adapters of bases with different names are joined.

    Raises:
        MergeError: They are of different bases, or have tensors that do not fit together.
        UsageError: Nothing is wanted of them.
    """
    check_forms(members)
    if not any_base:
        check_bases(members)
    addends = _gathered([member.addends for member in members], wanted)
    whole = _gathered([member.whole for member in members], wanted)
    tokens = _gathered([member.tokens for member in members], wanted)
    if not (addends or whole or tokens):
        raise UsageError("no module of the adapters is to be joined", hint="what do --only and --skip leave?")
    for module, found in addends.items():
        _check_addends(module, found, members)
    united = United(
        members,
        addends,
        {name: _complete(name, found, members) for name, found in whole.items()},
        {name: _complete(name, found, members) for name, found in tokens.items()},
        _absences(addends, members),
    )
    for module in tokens:
        _check_tokens(module, members)
    return united


def _gathered(maps: Sequence[Mapping[str, Kind]], wanted: Wanted) -> dict[str, tuple[Kind | None, ...]]:
    """Return by name what each mapping has, names in the order in which they first appear."""
    names = dict.fromkeys(name for each in maps for name in each if wanted(name))
    return {name: tuple(each.get(name) for each in maps) for name in names}


def _check_addends(module: str, addends: Sequence[Addend | None], members: Sequence[Member]) -> None:
    found = [(one, member) for one, member in zip(addends, members, strict=True) if one is not None]
    first, owner = found[0]
    for one, member in found[1:]:
        if one.shape != first.shape or one.is_embedding != first.is_embedding:
            kind = " to an embedding" if one.is_embedding and not first.is_embedding else ""
            what = f"'{module}' adds {list(one.shape)}{kind}, and {list(first.shape)} in {owner.location}"
            raise MergeError(what, where=member.location, hint="these are adapters of different bases")


def _complete(name: str, found: Sequence[TensorInfo | None], members: Sequence[Member]) -> tuple[TensorInfo, ...]:
    """Return a tensor of all adapters, of one shape; one that is absent stands for the base's, which is not here."""
    present = [(tensor, member) for tensor, member in zip(found, members, strict=True) if tensor is not None]
    first, owner = present[0]
    for tensor, member in present[1:]:
        if tensor.shape != first.shape:
            what = f"'{name}' is {list(tensor.shape)}, and {list(first.shape)} in {owner.location}"
            raise MergeError(what, where=member.location, hint=f"--skip '{name}' leaves it out")
    if len(present) < len(members):
        lacking = next(member for tensor, member in zip(found, members, strict=True) if tensor is None)
        what = (
            f"'{name}' was trained whole in {owner.location}, and this adapter stands on the base's, which is not read"
        )
        hint = f"merge the models BASE+ADAPTER instead, or leave it out with --skip '{name}'"
        raise MergeError(what, where=lacking.location, hint=hint)
    return tuple(tensor for tensor, _ in present)


def _check_tokens(module: str, members: Sequence[Member]) -> None:
    listed = [member.config.values.get("trainable_token_indices") for member in members]
    if any(each != listed[0] for each in listed):
        number = next(number for number, each in enumerate(listed) if each != listed[0])
        what = f"trained other tokens of '{module}' than {members[0].location}"
        hint = f"merge the models BASE+ADAPTER instead, or leave them out with --skip '{module}'"
        raise MergeError(what, where=members[number].location, hint=hint)


def _absences(addends: Mapping[str, Sequence[Addend | None]], members: Sequence[Member]) -> list[str]:
    notes = []
    for number, member in enumerate(members):
        lacking = [module for module, found in addends.items() if found[number] is None]
        if lacking:
            count = f"{len(lacking)} modules" if len(lacking) > 1 else "a module"
            verb = "that others adapt" if len(lacking) > 1 else "that another one adapts"
            notes.append(f"{member.location} leaves {count} {verb} as the base has them, which adds 0: {lacking[0]} …")
    return notes
