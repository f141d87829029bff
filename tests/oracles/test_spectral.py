"""What TSV-M, Iso-C and Iso-CTS share, on numpy and torch: decomposition, orthogonal factors, composition."""

from __future__ import annotations

from types import SimpleNamespace

import array_api_compat.torch
import numpy as np
import pytest
from random_models import of_rank, procrustes, svd

from merge.arithmetic.spectral import Factors, composed, decompose, isotropic, joined, polar
from merge.streaming.random_bits import random_floats

SPACES = {"numpy": (np, np.asarray), "torch": (array_api_compat.torch, array_api_compat.torch.asarray)}
SIZES = [(12, 7), (7, 12), (20, 20), (9, 1), (1, 6), (1, 1)]


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def context(space):
    xp, make = space

    def uniform(like, model):
        return make(random_floats(7 + model, 0, like.shape[0] * like.shape[1]).reshape(tuple(like.shape)))

    return SimpleNamespace(xp=xp, uniform=uniform)


def decomposed(space, matrix, rank, **more):
    return decompose(space[1](matrix), rank, context(space), **more)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_all_directions_give_the_matrix_back(space, size, dtype):
    matrix = np.random.default_rng(1).standard_normal(size).astype(dtype)
    found = np.asarray(composed(decomposed(space, matrix, min(size))))
    backward_error = max(size) * np.linalg.norm(matrix, 2) * np.finfo(dtype).eps  # of any library's decomposition
    np.testing.assert_allclose(found, matrix, rtol=0, atol=4 * backward_error)
    assert found.dtype == matrix.dtype


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_strongest_directions(space, rank):
    matrix = np.random.default_rng(2).standard_normal((12, 7))
    left, values, right = svd(matrix, rank)
    found = decomposed(space, matrix, rank)
    np.testing.assert_allclose(np.asarray(found.values), values, rtol=1e-13)
    np.testing.assert_allclose(np.asarray(composed(found)), left * values @ right.T, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_directions_without_strength_are_zero(space, dtype):
    matrix = of_rank(3, (40, 30), np.random.default_rng(3)).astype(dtype)
    found = decomposed(space, matrix, 10)
    assert (np.asarray(found.values) > 0).tolist() == [True] * 3 + [False] * 7
    assert not np.asarray(found.left)[:, 3:].any()
    assert not np.asarray(found.right)[3:].any()
    assert not np.asarray(composed(decomposed(space, 0 * matrix, 10))).any()


def test_directions_up_to_a_floor_are_none(space):
    found = decomposed(space, np.diag([5.0, 3.0, 2.0]), 3, floor=2.5)
    assert np.asarray(found.values).tolist() == [5, 3, 0]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_polar_factors_are_orthonormal(space, size, dtype):
    xp, make = space
    matrix = np.random.default_rng(4).standard_normal(size).astype(dtype)
    found = np.asarray(polar(make(matrix), xp))
    gram = found.T @ found if size[0] >= size[1] else found @ found.T
    np.testing.assert_allclose(gram, np.eye(min(size)), atol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(found, procrustes(matrix.astype("f8")), atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_equal_columns_share_one_direction(space, dtype):
    xp, make = space
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((30, 4)))[0].astype(dtype)
    found = np.asarray(polar(make(np.concatenate([basis, basis, 0 * basis], axis=1)), xp))
    wanted = np.concatenate([basis, basis, 0 * basis], axis=1) / np.sqrt(2)
    np.testing.assert_allclose(found, wanted, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(300, 80), (80, 300)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_random_decomposition_finds_what_a_matrix_of_low_rank_is(space, shape, dtype):
    matrix = of_rank(12, shape, np.random.default_rng(6)).astype(dtype)
    exact, approximate = (decomposed(space, matrix, 20, randomized=word) for word in (False, True))
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(np.asarray(composed(approximate)), matrix, atol=40 * np.finfo(dtype).eps * scale)
    np.testing.assert_allclose(np.asarray(approximate.values), np.asarray(exact.values), rtol=1e-4, atol=1e-9 * scale)
    assert (np.asarray(approximate.values) > 0).sum() == 12


def test_a_random_decomposition_is_near_where_strengths_decline(space):
    generator = np.random.default_rng(7)
    left, right = (np.linalg.qr(generator.standard_normal((size, 100)))[0] for size in (200, 150))
    matrix = left * (1 / np.arange(1, 101)) @ right.T
    exact, approximate = (np.asarray(composed(decomposed(space, matrix, 10, randomized=w))) for w in (False, True))
    assert np.linalg.norm(matrix - approximate) < 1.01 * np.linalg.norm(matrix - exact)
    assert np.abs(approximate - exact).max() > 0


def test_where_it_saves_nothing_the_exact_decomposition_is_taken(space):
    matrix = np.random.default_rng(8).standard_normal((30, 20))
    exact, same = (np.asarray(composed(decomposed(space, matrix, 10, randomized=word))) for word in (False, True))
    assert (exact == same).all()


def test_isotropic_counts_only_directions_with_strength(space):
    xp, make = space
    found = isotropic(Factors(make(np.eye(4)), make(np.array([5.0, 0, 1, 0])), make(np.eye(4))), xp)
    assert np.asarray(found.values).tolist() == [3, 0, 3, 0]
    nothing = isotropic(Factors(make(np.eye(2)), make(np.zeros(2)), make(np.eye(2))), xp)
    assert np.asarray(nothing.values).tolist() == [0, 0]


def test_joined_directions_add_up(space):
    generator = np.random.default_rng(9)
    one, two = generator.standard_normal((2, 8, 5))
    parts = joined([decomposed(space, one, 5), decomposed(space, two, 5)], space[0])
    np.testing.assert_allclose(np.asarray(composed(parts)), one + two, atol=1e-13)
