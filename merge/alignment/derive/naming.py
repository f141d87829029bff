"""What kind of group each one is, told by how its units are used, and a name that stays from run to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..groups import Group, Member
from .calls import Marks
from .collect import Found
from .factors import Factor, leaves

Uses = Mapping[Factor, Counter[str]]
WRITTEN = ("written by linear", "written by convolution")


def uses(marks: Marks) -> Uses:
    """Return for every factor how often it was seen in each use."""
    found: dict[Factor, Counter[str]] = {}
    for mark, axis in marks.seen:
        for factor in leaves(axis):
            found.setdefault(factor, Counter())[mark] += 1
    return found


def name_groups(
    found: Mapping[Factor, Found], parents: Mapping[Factor, Factor], seen: Uses, follow: Sequence[str]
) -> dict[str, Group]:
    """Return the groups by name, parents before what is nested in them.

    Args:
        found: What may be reordered.
        parents: What it is nested in.
        seen: How it is used.
        follow: Tensors that move with their group but say nothing about it.
    """
    kinds = {factor: _kind(factor, parents, seen) for factor in found if factor not in parents}
    residuals = list(kinds.values()).count("residual")
    counts: Counter[str] = Counter()
    groups: dict[str, Group] = {}
    for factor, kind in kinds.items():
        label = _label(kind, seen.get(factor, Counter()))
        name = label if label == "residual" and residuals == 1 else f"{label}.{counts[label]}"
        counts[label] += 1
        groups[name] = _group(name, kind, found[factor], None, follow)
        inner = [nested for nested in found if parents.get(nested) is factor]
        groups |= _nested([found[nested] for nested in inner], groups[name], seen, follow)
    return groups


def _kind(factor: Factor, parents: Mapping[Factor, Factor], seen: Uses) -> str:
    use = seen.get(factor, Counter())
    if use["heads"]:
        return "heads"
    if use["skip"] and sum(use[mark] for mark in WRITTEN) > 1:
        return "residual"
    is_hidden = use["written by linear"] and use["read by linear"]
    has_convolution = use["written by convolution"] or use["read by convolution"] or use["batch norm"]
    return "mlp" if is_hidden and not has_convolution else "other"


def _label(kind: str, use: Counter[str]) -> str:
    """Return what groups of a kind are called: channels of convolutions, else after their kind."""
    is_channels = use["written by convolution"] or use["read by convolution"] or use["batch norm"]
    return "channels" if kind == "other" and is_channels else kind


def _nested(inner: Sequence[Found], parent: Group, seen: Uses, follow: Sequence[str]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for group in inner:
        kind, label = _nested_kind(seen.get(group.factor, Counter()), parent)
        number = sum(name == f"{parent.name}.{label}" or name.startswith(f"{parent.name}.{label}.") for name in groups)
        name = f"{parent.name}.{label}" + (f".{number}" if number else "")
        groups[name] = _group(name, kind, group, parent.name, follow)
    return groups


def _nested_kind(use: Counter[str], parent: Group) -> tuple[str, str]:
    """Return kind and label of what lies within heads: query heads, or units that the output layer reads, or others."""
    if parent.kind != "heads":
        return "other", "within"
    if use["heads"]:
        return "heads", "queries"
    return "within-heads", "vo" if use["read by linear"] else "qk"


def _group(name: str, kind: str, found: Found, parent: str | None, follow: Sequence[str]) -> Group:
    members: tuple[Member, ...] = tuple(found.members)
    quiet = frozenset(member for member in members if member.tensor in follow)
    return Group(name, found.factor.size, members, kind, parent, quiet)
