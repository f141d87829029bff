"""What a template says: groups written as in a groups file, what stays and why, and what a user should know."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError
from ..expanding import GroupPattern, Shapes, expand
from ..groups import Groups
from ..patterns import parse_member
from ..validation import check


@dataclass(frozen=True)
class Checkpoint:
    """What a template goes by.

    Attributes:
        shapes: Of all tensors, by name.
        config: The config.json beside them, or an empty mapping.
    """

    shapes: Shapes
    config: Mapping[str, Any]

    def prefix_of(self, anchor: str) -> str | None:
        """Return what stands before the first name that ends in this one, or None when none does."""
        found = sorted(name for name in self.shapes if name == anchor or name.endswith("." + anchor))
        return found[0].removesuffix(anchor) if found else None

    def has(self, *names: str) -> bool:
        """Tell whether it has any of these tensors."""
        return any(name in self.shapes for name in names)

    def number(self, *keys: str) -> int | None:
        """Return the first of the configuration's values that is a positive whole number; dots lead into mappings."""
        for key in keys:
            value: Any = self.config
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
        return None


@dataclass
class Draft:
    """Groups of a checkpoint as a template proposes them.

    Attributes:
        family: What the checkpoint was taken for.
        patterns: The groups.
        notes: What a user should know.
    """

    family: str
    patterns: list[GroupPattern] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _stays: list[tuple[str, str]] = field(default_factory=list)

    def group(
        self,
        name: str,
        members: Iterable[str],
        *,
        follows: Iterable[str] = (),
        kind: str | None = None,
        parent: str | None = None,
    ) -> None:
        """Add a group; members are written as in a groups file."""
        texts = tuple(parse_member(text) for text in members), tuple(parse_member(text) for text in follows)
        self.patterns.append(GroupPattern(name, *texts, kind=kind, parent=parent))

    def stays(self, reason: str, texts: Iterable[str]) -> None:
        """Say of tensors, or of one axis of each, that they do not move. ``*`` stands for any text."""
        self._stays += [(text.removesuffix("?"), reason) for text in texts]

    def groups(self, checkpoint: Checkpoint) -> Groups:
        """Return the groups.

        Raises:
            UsageError: The checkpoint has tensors that the template does not know, or of other shapes.
        """
        try:
            groups = expand(self.patterns, checkpoint.shapes).ordered(self.family, self._pinned(checkpoint.shapes))
            check(groups, checkpoint.shapes)
        except UsageError as error:
            raise self.unfit(error.what) from None
        known = {member.tensor for group in groups.groups.values() for member in group.members}
        stays = [text.partition(":")[0] for text, _ in self._stays]
        for name in checkpoint.shapes:
            if name not in known and not any(fnmatch.fnmatchcase(name, text) for text in stays):
                raise self.unfit(f"'{name}' is none of its tensors")
        return groups

    def _pinned(self, shapes: Shapes) -> dict[str, str]:
        """Return why axes stay, by ``tensor:axis``; of a tensor without a stated axis, all axes."""
        found: dict[str, str] = {}
        for text, reason in self._stays:
            tensor, _, axis = text.partition(":")
            for name in fnmatch.filter(shapes, tensor):
                axes = [int(axis.partition("@")[0])] if axis else range(len(shapes[name]))
                found |= {f"{name}:{number}": reason for number in axes}
        return found

    def unfit(self, what: str) -> UsageError:
        """Return the error for a checkpoint of this family that has something else."""
        return UsageError(
            f"the tensors look like those of {self.family}, but {what}",
            hint="give the groups with --groups FILE, or the model with --model",
        )


def listed(text: str) -> list[str]:
    """Return the members in a text, parted by spaces and line ends."""
    return text.split()


def with_prefix(prefix: str, texts: Iterable[str]) -> list[str]:
    """Return members with a prefix before their tensors."""
    return [prefix + text for text in texts]


def cut(texts: Iterable[str], sizes: Sequence[int], factor: int) -> list[str]:
    """Return axes, some of them optional, viewed as these sizes, of which one is meant."""
    listed = ",".join(map(str, sizes))
    return [f"{text.removesuffix('?')}[{listed}]/{factor}{'?' if text.endswith('?') else ''}" for text in texts]
