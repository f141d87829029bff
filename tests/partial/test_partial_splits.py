"""Which units are merged, and where they come to lie on the axes of a wide network."""

from __future__ import annotations

import numpy as np
from planted import groups_of, member

from merge.alignment.groups import Group
from merge.partial.splits import side_by_side, split_pairs
from merge.partial.widths import Layout, wide_shapes


def test_merged_pairs_come_first_then_each_models_own_units() -> None:
    found = split_pairs(np.array([2, 0, 3, 1]), np.array([False, True, False, True]))
    assert found.pairs.tolist() == [[0, 2], [2, 3]]
    assert (found.first.tolist(), found.second.tolist(), found.size) == ([1, 3], [0, 1], 6)
    assert found.entries.first.tolist() == [0, 2, 1, 3, -1, -1]
    assert found.entries.second.tolist() == [2, 3, -1, -1, 0, 1]
    assert found.entries.merged.tolist() == [True, True, False, False, False, False]


def test_side_by_side_merges_nothing() -> None:
    found = side_by_side(2, 3)
    assert found.entries.first.tolist() == [0, 1, -1, -1, -1]
    assert found.entries.second.tolist() == [-1, -1, 0, 1, 2]


def test_units_that_own_several_places_take_all_of_them_along() -> None:
    """Channels before a flattening: [2 channels, 3 places]."""
    groups = groups_of(Group("channels", 2, (member("head", 1, 2, 3),)))
    splits = {"channels": split_pairs(np.array([1, 0]), np.array([True, False]))}
    entries = Layout(groups, {}, splits, {}).axes("head", (1, 6), (1, 6))[1]
    assert entries.first.tolist() == [3, 4, 5, 0, 1, 2, -1, -1, -1]
    assert entries.second.tolist() == [0, 1, 2, -1, -1, -1, 3, 4, 5]


def test_units_that_lie_within_an_outer_factor() -> None:
    """Gates and values in one matrix: [2, 2 units]."""
    groups = groups_of(Group("units", 2, (member("both", 0, 2, 2, factor=1),)))
    splits = {"units": split_pairs(np.array([0, 1]), np.array([False, True]))}
    entries = Layout(groups, {}, splits, {}).axes("both", (4,), (4,))[0]
    assert entries.first.tolist() == [0, 1, -1, 2, 3, -1]
    assert entries.second.tolist() == [0, -1, 1, 2, -1, 3]


def test_pieces_of_an_axis_widen_and_what_lies_between_stays() -> None:
    groups = groups_of(Group("units", 2, (member("joined", 0, 2, offset=1), member("joined", 0, 2, offset=4))))
    splits = {"units": split_pairs(np.array([1, 0]), np.array([True, True]))}
    entries = Layout(groups, {}, splits, {}).axes("joined", (7,), (7,))[0]
    assert entries.first.tolist() == [0, 1, 2, -1, -1, 3, 4, 5, -1, -1, 6]
    assert entries.second.tolist() == [0, -1, -1, 2, 1, 3, -1, -1, 5, 4, 6]


def test_groups_that_are_not_split_take_their_order() -> None:
    groups = groups_of(Group("heads", 2, (member("q", 0, 2, 2),)), Group("mlp", 2, (member("q", 1, 2),)))
    orders = {"heads": np.array([1, 0]), "mlp": np.array([1, 0])}
    layout = Layout(groups, orders, {"mlp": split_pairs(orders["mlp"], np.array([False, True]))}, {})
    rows, columns = layout.axes("q", (4, 2), (4, 2))
    assert rows.second.tolist() == [2, 3, 0, 1]
    assert rows.first.tolist() == [0, 1, 2, 3]
    assert columns.first.tolist() == [0, 1, -1]
    assert columns.second.tolist() == [1, -1, 0]


def test_heads_apart_lie_side_by_side() -> None:
    layout = Layout(groups_of(), {}, {}, {"head": 0})
    shapes = wide_shapes({"head": (3, 4), "other": (2,)}, {"head": (5, 4), "other": (2,)}, layout)
    assert shapes == {"head": (8, 4), "other": (2,)}
