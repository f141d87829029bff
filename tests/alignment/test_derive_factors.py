"""Axes as factors: cut lazily, become one, pinned."""

from __future__ import annotations

from merge.alignment.derive.factors import (
    MISFIT,
    concatenated,
    cut,
    fresh,
    is_pinned,
    leaves,
    length,
    pin,
    resolve,
    side_by_side,
    unify,
)
from merge.alignment.derive.shapes import reshaped


def sizes(axis):
    return [factor.size for factor in resolve(axis)]


def reasons(axis):
    return [leaf.reason for leaf in leaves(axis)]


def test_axes_that_are_unified_are_cut_together():
    first, second, third = fresh(12), fresh(12), [*fresh(3), *fresh(4)]
    unify(first, second, "here")
    unify(second, third, "here")
    assert sizes(first) == sizes(second) == [3, 4]
    assert resolve(first) == resolve(third)
    assert reasons(first) == [None, None]


def test_factors_are_cut_at_common_boundaries():
    first, second = [*fresh(4), *fresh(6)], [*fresh(2), *fresh(12)]
    unify(first, second, "here")
    assert sizes(first) == [2, 2, 6]
    assert resolve(first) == resolve(second)


def test_cuts_that_do_not_fit_pin_only_what_does_not_fit():
    first, second = [*fresh(2), *fresh(3), *fresh(4)], [*fresh(2), *fresh(4), *fresh(3)]
    unify(first, second, "aten.add in block")
    assert reasons(first) == [None, *[f"aten.add in block: {MISFIT}"] * 2]
    assert resolve(first)[0] is resolve(second)[0]
    assert reasons(second)[1:] == reasons(first)[1:]


def test_a_pin_holds_for_all_that_is_one_and_keeps_its_first_reason():
    first, second, third = fresh(6), fresh(6), fresh(6)
    unify(first, second, "here")
    pin(second, "inputs")
    unify(third, first, "here")
    pin(third, "later")
    assert reasons(first) == reasons(third) == ["inputs"]


def test_a_pin_on_a_part_leaves_the_other_part():
    axis = fresh(12)
    heads, units = reshaped([axis], [3, 4], "here")
    pin(units, "positions")
    assert reasons(axis) == [None, "positions"]
    assert reasons(heads) == [None]


def test_concatenations_are_compared_at_the_boundaries_of_both():
    first, second = concatenated([fresh(4), fresh(2)]), concatenated([fresh(2), fresh(4)])
    unify(first, second, "here")
    assert [length(piece) for piece in side_by_side(first)] == [2, 2, 2]
    assert [resolve(piece) for piece in side_by_side(first)] == [resolve(piece) for piece in side_by_side(second)]
    assert not is_pinned(first)


def test_a_whole_axis_takes_over_the_pieces_of_another():
    pieces, axis = concatenated([fresh(4), fresh(2)]), fresh(6)
    unify(axis, pieces, "here")
    assert [length(piece) for piece in side_by_side(axis)] == [4, 2]


def test_a_concatenation_is_no_product():
    pieces, product = concatenated([fresh(4), fresh(2)]), [*fresh(3), *fresh(2)]
    unify(pieces, product, "here")
    assert is_pinned(pieces)
    assert is_pinned(product)


def test_pieces_are_cut_on_the_outermost_factor_only():
    outer, inner = fresh(6), fresh(5)
    pieces = cut([*outer, *inner], [10, 20])
    assert pieces is not None
    assert [sizes(piece) for piece in pieces] == [[2, 5], [4, 5]]
    assert resolve(pieces[0])[1] is resolve(pieces[1])[1]
    assert cut([*fresh(6), *fresh(5)], [7, 23]) is None


def test_a_second_cut_joins_pieces_of_the_first():
    axis = fresh(6)
    first = cut(axis, [2, 4])
    second = cut(axis, [4, 2])
    assert first is not None
    assert second is not None
    assert [length(piece) for piece in side_by_side(axis)] == [2, 2, 2]
    assert side_by_side(second[0])[0] == resolve(first[0])


def test_shapes_deal_factors_out():
    batch, channels, places = fresh(2, "inputs"), fresh(8), fresh(9, "places")
    flat = reshaped([batch, channels, places], [2, 72], "here")
    assert flat[1] == [*channels, *places]
    again = reshaped(flat, [2, 4, 18], "here")
    assert sizes(again[1]) == [4]
    assert sizes(again[2]) == [2, 9]
    assert sizes(channels) == [4, 2]


def test_shapes_that_do_not_fit_pin_their_run_alone():
    kept, first, second = fresh(5), fresh(3), fresh(4)
    result = reshaped([kept, first, second], [5, 4, 3], "aten.view")
    assert reasons(kept) == [None]
    assert result[0] == kept
    assert reasons(first) == reasons(result[1]) == [f"aten.view: {MISFIT}"]
