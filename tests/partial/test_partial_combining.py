"""Plain wide weights, by hand."""

from __future__ import annotations

import numpy as np

from merge.partial.combining import combine
from merge.partial.splits import Entries, side_by_side, split_pairs

ONE, OTHER = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0, 20.0], [30.0, 40.0]])
HALF = split_pairs(np.array([1, 0]), np.array([False, True])).entries  # 0 with 1; 1 alone; 0 alone
SHARED = Entries(np.arange(2), np.arange(2))


def test_merged_rows_read_halves_of_own_columns_and_own_rows_read_their_own() -> None:
    found = combine([HALF, HALF], 1, ONE, OTHER)
    merged = [(1 + 40) / 2, 2 / 2, 30 / 2]
    first = [3, 4, 0]
    second = [20, 0, 10]
    assert found.tolist() == [merged, first, second]


def test_a_shared_input_is_read_as_it_is() -> None:
    found = combine([HALF, SHARED], 1, ONE, OTHER)
    assert found.tolist() == [[(1 + 30) / 2, (2 + 40) / 2], [3, 4], [10, 20]]


def test_what_is_written_on_all_axes_is_copied_for_own_units() -> None:
    found = combine([SHARED, HALF], None, ONE, OTHER)
    assert found.tolist() == [[(1 + 20) / 2, 2, 10], [(3 + 40) / 2, 4, 30]]


def test_matrices_stored_the_other_way_round() -> None:
    found = combine([HALF, HALF], 0, ONE.T, OTHER.T)
    assert found.tolist() == combine([HALF, HALF], 1, ONE, OTHER).T.tolist()


def test_side_by_side_holds_the_members_bit_for_bit() -> None:
    one = np.array([[-0.0, 1e-45], [3.1, -7.7]], np.float32)
    other = np.array([[0.1, -0.0], [1e38, 2.0]], np.float32)
    both = side_by_side(2, 2).entries
    found = combine([both, both], 1, one, other)
    assert found[:2, :2].tobytes() == one.tobytes()
    assert found[2:, 2:].tobytes() == other.tobytes()
    assert not found[:2, 2:].any()
    assert not found[2:, :2].any()


def test_averages_of_a_model_with_itself_are_the_model() -> None:
    one = np.array([[-0.0, 3.4e38], [3.1, -7.7]], np.float32)
    assert combine([SHARED, SHARED], 1, one, one).tobytes() == one.tobytes()


def test_a_scalar_is_averaged() -> None:
    assert combine([], None, np.array(1.0), np.array(2.0)) == 1.5
