"""What shapes alone tell about groups that were not read from a file: derived or saved ones."""

from __future__ import annotations

from typing import Any

import pytest

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.validation import check, coverage
from merge.errors import UsageError

SHAPES = {"up.weight": (6, 4), "up.bias": (6,), "down.weight": (3, 6), "norm": (4,)}
UP = (Member("up.weight", 0, (6,)), Member("up.bias", 0, (6,)), Member("down.weight", 1, (6,)))


def groups_of(*groups: Group) -> Groups:
    return Groups({group.name: group for group in groups}, origin="traced")


def test_sound_groups() -> None:
    heads = tuple(Member(member.tensor, member.axis, (2, 3), 0) for member in UP)
    within = tuple(Member(member.tensor, member.axis, (2, 3), 1) for member in UP)
    check(groups_of(Group("mlp", 6, UP, "mlp", only_follows=frozenset(UP[1:2]))), SHAPES)
    check(groups_of(Group("heads", 2, heads), Group("within", 3, within, parent="heads")), SHAPES)
    check(groups_of(Group("heads", 2, heads), Group("shared", 3, within)), SHAPES)
    finer = Member("up.weight", 0, (2, 3, 1), 1)
    check(groups_of(Group("heads", 2, heads), Group("within", 3, (finer,), parent="heads")), SHAPES)


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ({"members": ()}, "traced: the group 'g' has no members"),
        ({"kind": "head"}, "'g' has the unknown kind 'head' .did you mean 'heads'"),
        ({"members": (Member("up.wieght", 0, (6,)),)}, "'g': up.wieght:0: no such tensor .did you mean 'up.weight'"),
        ({"members": (Member("up.bias", 1, (6,)),)}, r"'g': up.bias:1: the tensor has the shape \[6\]"),
        ({"members": (Member("up.bias", -1, (6,)),)}, r"the tensor has the shape \[6\]"),
        ({"members": (Member("up.bias", 0, (6,), 1),)}, "no such part"),
        ({"members": (Member("up.bias", 0, (6,), 0, -1),)}, "no such part"),
        ({"members": (Member("up.bias", 0, (6, -1)),)}, "no such part"),
        ({"members": (Member("up.bias", 0, (6,), 0, 1),)}, "the axis ends at 6, before 7"),
        ({"members": (Member("up.bias", 0, (6, 2**62)),)}, "the axis ends at 6"),
        ({"members": (Member("up.bias", 0, (3,)),)}, "has 3 units, and the group 6"),
        ({"only_follows": frozenset([Member("norm", 0, (4,))])}, "norm:0 follows, but is no member"),
        ({"members": (*UP, UP[0])}, "'g' has up.weight:0 twice"),
        ({"parent": "heads"}, "nested in 'heads', which is no group"),
    ],
)
def test_one_group(group: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check(groups_of(Group(**{"name": "g", "size": 6, "members": UP} | group)), SHAPES)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (Member("up.bias", 0, (6,)), "up.bias:0 of 'other' moves what up.bias:0 of 'g' moves"),
        (Member("up.bias", 0, (2, 3), 1), "moves what"),
        (Member("up.bias", 0, (3,), 0, 2), r"up.bias:0@2\[3\]/0 of 'other' overlaps with up.bias:0 of 'g'"),
    ],
)
def test_two_groups_on_one_axis(other: Member, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check(groups_of(Group("g", 6, UP), Group("other", other.size, (other,))), SHAPES)


def test_factors_that_cross_are_refused() -> None:
    """Axis 12 as 4 x 3 and as 6 x 2: the first sub-axes of both move the same entries."""
    shapes = {"w": (12,)}
    one, other = Group("one", 4, (Member("w", 0, (4, 3)),)), Group("other", 2, (Member("w", 0, (6, 2), 1),))
    with pytest.raises(UsageError, match="moves what"):
        check(groups_of(one, Group("other", 6, (Member("w", 0, (6, 2)),))), shapes)
    with pytest.raises(UsageError, match="moves what"):
        check(groups_of(one, Group("other", 3, (Member("w", 0, (2, 3, 2), 1),))), shapes)
    check(groups_of(Group("one", 3, (Member("w", 0, (3, 4)),)), other), shapes)


def test_pieces_of_an_axis() -> None:
    pieces = [Group(f"p{start}", 3, (Member("up.bias", 0, (3,), 0, start),)) for start in (0, 3)]
    check(groups_of(*pieces), SHAPES)


def test_nested_twice() -> None:
    shapes = {"w": (24,)}
    one = Group("one", 2, (Member("w", 0, (2, 3, 4), 0),))
    two = Group("two", 3, (Member("w", 0, (2, 3, 4), 1),), parent="one")
    three = Group("three", 4, (Member("w", 0, (2, 3, 4), 2),), parent="two")
    with pytest.raises(
        UsageError, match=r"'three' is nested in 'two', which is nested in 'one' .groups can be nested once"
    ):
        check(groups_of(one, two, three), shapes)


def test_coverage_counts_entries() -> None:
    groups = groups_of(Group("g", 6, UP), Group("single", 1, (Member("norm", 0, (1, 4), 0),)))
    assert coverage(groups, SHAPES) == (48 / 52, ["norm"])
    assert coverage(groups, {}) == (0.0, [])
    assert coverage(Groups({}), SHAPES) == (0.0, list(SHAPES))
