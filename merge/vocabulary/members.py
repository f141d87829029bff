"""The models of a merge with their tokenizers, and which of them a recipe means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..checkpoints.resolve import local_path
from ..errors import UsageError, suggest
from ..planning.names import match_names
from .tensors import token_tensors
from .tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class Member:
    """One model.

    Attributes:
        position: Among the opened sources.
        source: The model.
        tokenizer: Its tokenizer.
        rows: How many rows its input embedding has.
    """

    position: int
    source: Source
    tokenizer: Tokenizer
    rows: int

    @cached_property
    def tensors(self) -> dict[str, int]:
        """Its tensors with one row per token, and the axis of these."""
        return token_tensors(self.source, self.rows)

    @cached_property
    def used(self) -> dict[str, int]:
        """Its tokens that have a row, with their numbers."""
        return self.tokenizer.used(self.rows)

    @property
    def unused(self) -> list[str]:
        """Tokens of its tokenizer beyond its rows."""
        return [token for token, number in self.tokenizer.in_order() if number >= self.rows]

    def twin_in(self, other: Member) -> dict[str, TensorInfo]:
        """Return the tensors of another model that stand for this one's tensors by token, by this one's names."""
        if other is self:
            return {name: self.source.tensors[name] for name in self.tensors}
        matched = match_names(self.source, other.source).tensors
        found = {name: matched[name] for name in self.tensors if name in matched}
        return {name: tensor for name, tensor in found.items() if tensor.name in other.tensors}


def untied(base: Member, member: Member) -> dict[str, TensorInfo]:
    """Return the base's tensors that stand for one tensor of the model together with another one, which it is tied to.

    Rows that the model lacks are not the same in both, so that the model must have both.
    """
    twins = base.twin_in(member)
    own = [tensor.name for tensor in twins.values()]
    return {
        name: tensor
        for name, tensor in twins.items()
        if own.count(tensor.name) > 1 and not name.endswith(tensor.name) and not tensor.name.endswith(name)
    }


def find_member(members: Sequence[Member], location: str, folder: Path | None, where: str | None) -> Member:
    """Return the model that a rule names.

    Raises:
        UsageError: It is none of those that are merged.
    """
    found = member_at(members, location, folder)
    if found is not None:
        return found
    known = [member.source.location for member in members]
    hint = suggest(location, known) or f"the models are {', '.join(known)}"
    raise UsageError(f"'{location}' is none of the models that are merged", where=where, hint=hint)


def member_at(members: Sequence[Member], location: str, folder: Path | None) -> Member | None:
    """Return the model of a location: by the same words, or else by the same folder or file."""
    for member in members:
        if member.source.location == location:
            return member
    path = local_path(location, folder)
    if not path.exists():
        return None
    for member in members:
        own = local_path(member.source.location, folder)
        if own.exists() and own.samefile(path):
            return member
    return None
