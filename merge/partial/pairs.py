"""Which units of two models belong together, and how alike each pair is over the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..alignment.declared import AlignmentOptions
from ..alignment.groups import Group, Groups, Member
from ..alignment.matching.activations import passes, solved
from ..alignment.matching.families import Family, families
from ..alignment.matching.pair import Pair
from ..alignment.matching.products import one_thread_per_product
from ..alignment.matching.readers import Reader
from ..alignment.matching.running import Run
from ..alignment.matching.surveying import check_shapes
from ..alignment.matching.unit_statistics import UnitStatistics
from ..alignment.matching.weights import match_weights
from ..errors import MergeError
from .widths import Shapes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..calibration.subject import Sample, Subject
    from ..evaluation.task import Settings
    from .declared import JointCalibration

    Order = NDArray[np.int64]

Note = Callable[[str], None]


@dataclass(frozen=True)
class Matching:
    """What is matched, and by what.

    Attributes:
        subjects: The networks: the one that stays, and the one that is brought into its order.
        sample: The data, prepared for both.
        readers: Their checkpoints.
        groups: Which axes carry the same units.
        options: What tells which units belong together.
        settings: Most items at a time, seed; told of progress.
        note: Told what the user should know.
    """

    subjects: tuple[Subject, Subject]
    sample: Sample
    readers: tuple[Reader, Reader]
    groups: Groups
    options: JointCalibration
    settings: Settings
    note: Note


@dataclass(frozen=True)
class Pairs:
    """Matched units.

    Attributes:
        orders: By group: unit ``orders[i]`` of the second model matches unit i of the first. Groups that could not be
            matched are absent.
        similarity: Correlation of each matched pair [units] by group; groups with others nested in them are absent, and
            those whose units were not seen.
    """

    orders: Mapping[str, Order]
    similarity: Mapping[str, NDArray[np.float64]]


def match_pairs(matching: Matching) -> Pairs:
    """Match the units of two models whose outputs alone may differ in number.

    Raises:
        MergeError: A network does not run or gives numbers that are not finite, or the models do not fit each other.
    """
    shared = _shared_groups(matching)
    check_shapes(Pair(*matching.readers), shared)
    orders: dict[str, Order] = {}
    if matching.options.matching == "weights":
        options = AlignmentOptions(**{name: one.default for name, one in AlignmentOptions.declarations.items()})
        seed, note = matching.settings.seed, matching.note
        orders |= match_weights(*matching.readers, shared, options, seed, note=note).orders
    return _seen(matching, orders)


def _shared_groups(matching: Matching) -> Groups:
    """Return the groups without members on tensors that have other shapes in the second model: its outputs."""
    first, second = (reader.shapes for reader in matching.readers)
    others = {name for name, shape in first.items() if name in second and tuple(second[name]) != tuple(shape)}
    found: dict[str, Group] = {}
    for name, group in matching.groups.groups.items():
        for member in group.members:
            _check_units(member, first, second, matching.readers[1].where)
        members = tuple(member for member in group.members if member.tensor not in others)
        found[name] = replace(group, members=members, only_follows=group.only_follows.intersection(members))
    return replace(matching.groups, groups={name: group for name, group in found.items() if group.members})


def _check_units(member: Member, first: Shapes, second: Shapes, where: str) -> None:
    """Refuse models that have other numbers of units; a tensor that one of them lacks is met later."""
    one, other = first.get(member.tensor, ()), second.get(member.tensor, ())
    if one and other and one[member.axis : member.axis + 1] != other[member.axis : member.axis + 1]:
        what = f"'{member.tensor}' is {list(other)}, and {list(one)} in the first model"
        raise MergeError(what, where=where, hint="models of different width or depth cannot be merged by units")


def _seen(matching: Matching, orders: dict[str, Order]) -> Pairs:
    """Run both networks, and compare units by what they do; match them by that where nothing else has."""
    similarity: dict[str, NDArray[np.float64]] = {}
    for some in passes(families(matching.groups, note=matching.note)):
        for family, statistics in _statistics(matching, some):
            if matching.options.matching == "activations":
                orders |= _solved(family, statistics, matching)
            found = None if family.nested or family.name not in orders else statistics.similarity(orders[family.name])
            if found is not None:
                similarity[family.name] = found
    return Pairs(orders, similarity)


def _statistics(matching: Matching, some: Sequence[Family]) -> list[tuple[Family, UnitStatistics]]:
    shapes = matching.readers[0].shapes
    found = Run(matching.subjects, matching.sample, some, shapes, matching.settings).statistics()
    for family in some:
        if family.name not in found:
            matching.note(f"'{family.name}' is not matched: nothing was seen that reads or gives its units alone")
    return [(family, found[family.name]) for family in some if family.name in found]


def _solved(family: Family, statistics: UnitStatistics, matching: Matching) -> dict[str, Order]:
    start = family.starts(matching.groups)
    with one_thread_per_product():
        solution = solved(family, statistics.blocks(matching.options.metric), start)
    return solution.orders if solution.is_gain else start
