"""Groups written with wildcards: read one member's text, and find what it stands for among a checkpoint's tensors.

``blocks.{i}.attn.qkv.weight:0[3,12,*]/1`` is axis 0 of every ``blocks.NUMBER.attn.qkv.weight``, viewed as 3 x 12 x what
is left, of which sub-axis 1 is meant. ``{i}`` is a whole number and must stand in the group's name too: there is one
group for each. ``*`` in a name is any text without a dot, and all that it matches belongs to the same group. ``@64``
begins a piece of an axis at place 64. ``?`` at the end says that the tensor may be absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..errors import UsageError
from .groups import Member

LARGEST = 2**63 - 1
PLACEHOLDER = re.compile(r"\{([a-z_]\w*)\}")
_FORM = "NAME:AXIS, NAME:AXIS[SIZE,SIZE]/FACTOR or NAME:AXIS@OFFSET[SIZE]"
_MEMBER = re.compile(
    r"(?P<tensor>.+):(?P<axis>\d+)(?:@(?P<offset>\d+))?(?:\[(?P<sizes>[^\]]*)\](?:/(?P<factor>\d+))?)?(?P<optional>\?)?"
)

Binding = tuple[tuple[str, str], ...]  # what the placeholders stand for, by their names in order


@dataclass(frozen=True)
class MemberPattern:
    """A member as it is written.

    Attributes:
        tensor: Name, with ``{i}`` and ``*``.
        axis: Axis of the tensor.
        sizes: As which the axis is viewed, None for what is left; empty for the whole axis.
        factor: Which of the sizes is meant.
        offset: Where the piece begins, or None for the whole axis.
        optional: Whether it may match nothing.
        text: As it was written, for messages.
        where: ``file:line:column``.
    """

    tensor: str
    axis: int
    sizes: tuple[int | None, ...]
    factor: int
    offset: int | None
    optional: bool
    text: str
    where: str | None = None

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(PLACEHOLDER.findall(self.tensor))

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """What finds the tensors that are meant."""
        seen: set[str] = set()
        parts = []
        for number, part in enumerate(PLACEHOLDER.split(self.tensor)):
            if number % 2 == 0:
                parts.append("[^.]*".join(re.escape(text) for text in part.split("*")))
            else:
                parts.append(f"(?P={part})" if part in seen else rf"(?P<{part}>0|[1-9]\d*)")
                seen.add(part)
        return re.compile("".join(parts))

    def matches(self, names: Mapping[str, object]) -> dict[Binding, list[str]]:
        """Return the names that are meant, by what the placeholders stand for in them."""
        if not self.placeholders and "*" not in self.tensor:
            return {(): [self.tensor]} if self.tensor in names else {}
        found: dict[Binding, list[str]] = {}
        for name in names:
            match = self.expression.fullmatch(name)
            if match:
                found.setdefault(tuple(sorted(match.groupdict().items())), []).append(name)
        return found

    def member(self, tensor: str, shape: tuple[int, ...]) -> Member:
        """Return the member that this is for a tensor of this shape.

        Raises:
            UsageError: The tensor has no such axis, or the axis has another length.
        """
        if self.axis >= len(shape):
            raise self.error(f"'{tensor}' has the shape {list(shape)}, and so no axis {self.axis}")
        length = shape[self.axis]
        if not self.sizes:
            return Member(tensor, self.axis, (length,))
        sizes = self._filled(length, tensor)
        if self.factor >= len(sizes):
            raise self.error(f"there is no size {self.factor} in {list(sizes)}; they count from 0")
        found = Member(tensor, self.axis, sizes, self.factor, self.offset or 0)
        if self.offset is None and found.length != length:
            what = f"axis {self.axis} of '{tensor}' has {length} entries, not {' x '.join(map(str, sizes))}"
            raise self.error(what, hint="a piece of an axis says where it begins, as in NAME:AXIS@0[SIZE]")
        return found

    def _filled(self, length: int, tensor: str) -> tuple[int, ...]:
        """Return the sizes with what is left in place of ``*``."""
        known = math.prod(size for size in self.sizes if size is not None)
        left = length - (self.offset or 0)
        if None in self.sizes and (known == 0 or left < 0 or left % known):
            raise self.error(f"axis {self.axis} of '{tensor}', with {length} entries, cannot be cut into {known}")
        return tuple(left // known if size is None else size for size in self.sizes)

    def error(self, what: str, hint: str | None = None) -> UsageError:
        """Return an error that says where this member stands."""
        return UsageError(f"'{self.text}': {what}", where=self.where, hint=hint)


def parse_member(text: object, where: str | None = None) -> MemberPattern:
    """Read a member's text.

    Raises:
        UsageError: It is no member, or a number in it is out of range.
    """
    match = _MEMBER.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise UsageError(f"{text!r} is no member of a group", where=where, hint=f"write it as {_FORM}")
    found = match.groupdict()
    sizes = _sizes(found["sizes"], match[0], where)
    if found["offset"] is not None and not sizes:
        raise UsageError(f"'{match[0]}': a piece needs its sizes", where=where, hint=f"write it as {_FORM}")
    if len(sizes) > 1 and found["factor"] is None:
        raise UsageError(f"'{match[0]}' does not say which size is meant", where=where, hint=f"write it as {_FORM}")
    return MemberPattern(
        found["tensor"],
        _number(found["axis"], match[0], where),
        sizes,
        _number(found["factor"] or "0", match[0], where),
        None if found["offset"] is None else _number(found["offset"], match[0], where),
        found["optional"] is not None,
        match[0],
        where,
    )


def _sizes(text: str | None, member: str, where: str | None) -> tuple[int | None, ...]:
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "*" or part.isdecimal() for part in parts) or parts.count("*") > 1:
        what = f"'{member}': [{text}] is no list of sizes"
        raise UsageError(what, where=where, hint="whole numbers, one of them * for what is left")
    sizes = tuple(None if part == "*" else _number(part, member, where) for part in parts)
    if 0 in sizes:
        raise UsageError(f"'{member}': a size of 0", where=where)
    if math.prod(size for size in sizes if size is not None) > LARGEST:
        raise UsageError(f"'{member}': the sizes are too large for any tensor", where=where)
    return sizes


def _number(digits: str, member: str, where: str | None) -> int:
    if len(digits) > 20 or int(digits) > LARGEST:
        raise UsageError(f"'{member}': {digits[:30]} is too large a number", where=where)
    return int(digits)
