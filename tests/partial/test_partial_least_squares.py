"""Least squares in closed form: worked by hand, and against numpy's on explicit data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from merge.partial.combining import combine
from merge.partial.least_squares import Problem, solve_rows
from merge.partial.splits import Entries, Split, side_by_side, split_pairs

MERGED = split_pairs(np.array([0]), np.array([False])).entries
ROWS, ITEMS, INPUTS, OUTPUTS = 40, 60, 5, 4


def test_one_merged_unit_by_hand() -> None:
    """Both read z_A = (1, 2) and z_B = (3, 0) over two items.

    x = (z_A + z_B) / 2 = (2, 1), the wanted output is (2 z_A + 4 z_B) / 2 = z_A + 2 z_B = (7, 2), so that
    w = <x, y> / <x, x> = 16 / 5.
    """
    inputs = np.array([[1.0, 3.0], [2.0, 0.0]])
    problem = Problem(np.array([[2.0]]), np.array([[4.0]]), MERGED, MERGED, inputs.T @ inputs / 2, 0.0)
    assert solve_rows(problem, np.array([[3.0]])) == pytest.approx(np.array([[16 / 5]]))


def test_the_ridge_pulls_towards_the_plain_weight_by_hand() -> None:
    """The same with r = 1/2 of the mean diagonal 5/2 of S G S^T: (8 + 5/4 * 3) / (5/2 + 5/4) = 47/15."""
    inputs = np.array([[1.0, 3.0], [2.0, 0.0]])
    problem = Problem(np.array([[2.0]]), np.array([[4.0]]), MERGED, MERGED, inputs.T @ inputs / 2, 0.5)
    assert solve_rows(problem, np.array([[3.0]])) == pytest.approx(np.array([[47 / 15]]))


def test_own_rows_by_hand() -> None:
    """A's own row reads x = (2, 1) and wants 2 z_A = (2, 4): w = 8 / 5; B's own wants 4 z_B = (12, 0): w = 24 / 5."""
    inputs = np.array([[1.0, 3.0], [2.0, 0.0]])
    rows = side_by_side(1, 1).entries
    problem = Problem(np.array([[2.0]]), np.array([[4.0]]), rows, MERGED, inputs.T @ inputs / 2, 0.0)
    assert solve_rows(problem, np.array([[2.0], [4.0]])) == pytest.approx(np.array([[8 / 5], [24 / 5]]))


class Layer:
    """One layer of two members, and what both read over the same data."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.first, self.second = generator.standard_normal((2, OUTPUTS, INPUTS))
        self.inputs = generator.standard_normal((ITEMS, 2 * INPUTS))
        self.rows = self._split(generator, OUTPUTS, 2)
        self.columns = self._split(generator, INPUTS, 2)

    def _split(self, generator: Any, size: int, apart: int) -> Split:
        return split_pairs(generator.permutation(size), generator.permutation(size) < apart)

    @property
    def plain(self) -> Any:
        return combine([self.rows.entries, self.columns.entries], 1, self.first, self.second)

    def problem(self, ridge: float) -> Problem:
        gram = self.inputs.T @ self.inputs / ITEMS
        return Problem(self.first, self.second, self.rows.entries, self.columns.entries, gram, ridge)

    def wide(self, values: Any, split: Split) -> Any:
        """Return S z or U y, written as the definition says it."""
        one, other = values[:, : values.shape[1] // 2], values[:, values.shape[1] // 2 :]
        pairs = [(one[:, i] + other[:, j]) / 2 for i, j in split.pairs]
        return np.stack([*pairs, *one[:, split.first].T, *other[:, split.second].T], axis=1)

    def wanted(self) -> Any:
        one, other = self.inputs[:, :INPUTS] @ self.first.T, self.inputs[:, INPUTS:] @ self.second.T
        return self.wide(np.concatenate([one, other], axis=1), self.rows)

    def masks(self) -> Any:
        """Return which columns each row may read."""
        merged, first = len(self.columns.pairs), len(self.columns.first)
        own = [slice(merged, None), slice(merged, merged + first), slice(merged + first, None)]
        kinds = [0] * len(self.rows.pairs) + [1] * len(self.rows.first) + [2] * len(self.rows.second)
        masks = np.zeros((self.rows.size, self.columns.size), bool)
        for row, kind in enumerate(kinds):
            masks[row, :merged] = masks[row, own[kind]] = True
        return masks


@pytest.mark.parametrize("seed", range(3))
def test_it_is_numpys_solution_of_the_masked_problem(seed: int) -> None:
    layer = Layer(seed)
    found = solve_rows(layer.problem(0.0), layer.plain)
    read, wanted = layer.wide(layer.inputs, layer.columns), layer.wanted()
    for row, mask in enumerate(layer.masks()):
        expected, *_ = np.linalg.lstsq(read[:, mask], wanted[:, row], rcond=None)
        assert found[row, mask] == pytest.approx(expected, abs=1e-10)
        assert not found[row, ~mask].any()


def test_the_gradient_is_zero_with_a_ridge() -> None:
    """By autograd: E |W x - y|^2 + r |W - P|^2, with r the ridge times the mean diagonal of each row's columns."""
    layer, ridge = Layer(7), 0.3
    found = torch.tensor(solve_rows(layer.problem(ridge), layer.plain), requires_grad=True)
    read, wanted, plain = (
        torch.from_numpy(a) for a in (layer.wide(layer.inputs, layer.columns), layer.wanted(), layer.plain)
    )
    masks = torch.from_numpy(layer.masks())
    squares = (read**2).mean(0)
    strength = ridge * (masks * squares).sum(1) / masks.sum(1)
    loss = ((read @ found.T - wanted) ** 2).mean(0).sum() + (strength[:, None] * (found - plain) ** 2).sum()
    loss.backward()
    assert float((found.grad * masks).abs().max()) < 1e-10


def test_an_infinite_ridge_is_the_plain_weight() -> None:
    layer = Layer(1)
    assert solve_rows(layer.problem(float("inf")), layer.plain).tolist() == layer.plain.tolist()


def test_rows_that_read_own_units_alone_are_not_solved() -> None:
    layer = Layer(2)
    apart = side_by_side(INPUTS, INPUTS).entries
    rows = side_by_side(OUTPUTS, OUTPUTS).entries
    problem = layer.problem(0.1)._replace(rows=rows, columns=apart)
    plain = combine([rows, apart], 1, layer.first, layer.second)
    assert solve_rows(problem, plain).tobytes() == plain.tobytes()


def test_data_that_says_nothing_leaves_the_plain_weight() -> None:
    layer = Layer(3)
    silent = layer.problem(0.1)._replace(gram=np.zeros((2 * INPUTS, 2 * INPUTS)))
    assert solve_rows(silent, layer.plain).tolist() == layer.plain.tolist()


def test_what_is_no_gram_matrix_is_refused() -> None:
    layer = Layer(3)
    broken = layer.problem(0.0)._replace(gram=np.diag([-5.0, *[1.0] * (2 * INPUTS - 1)]))
    everything = Entries(np.arange(INPUTS), np.arange(INPUTS))
    with pytest.raises(ValueError, match="not positive"):
        solve_rows(broken._replace(columns=everything), layer.plain[:, :INPUTS])
