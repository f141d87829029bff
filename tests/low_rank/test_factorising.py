"""A matrix as a product of two thin ones: as good as the best of that rank, measured honestly, the same every time."""

from __future__ import annotations

import threading

import ml_dtypes
import numpy as np
import pytest

from merge.adapters.low_rank.factorising import EXACT_SIDE, factorise
from merge.adapters.low_rank.truncation import Truncation
from merge.errors import MergeError, UsageError

LARGE = (EXACT_SIDE + 80, EXACT_SIDE + 200)


def matrix(shape: tuple[int, int], strengths: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Return a matrix with these singular values, by default falling slowly."""
    random = np.random.default_rng(seed)
    side = min(shape)
    strengths = 1 / np.arange(1, side + 1) if strengths is None else strengths
    left, right = (np.linalg.qr(random.standard_normal((size, side)))[0] for size in shape)
    return ((left * strengths) @ right.T).astype(np.float32)


def best(found: np.ndarray, rank: int) -> float:
    """Return the energy that the best approximation of a rank keeps."""
    squares = np.linalg.svd(found.astype(np.float64), compute_uv=False) ** 2
    return float(squares[:rank].sum() / squares.sum())


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (7, 1), (1, 7), (1, 1)])
@pytest.mark.parametrize("rank", [1, 4, 100])
def test_small_matrices_are_cut_down_exactly(shape: tuple[int, int], rank: int) -> None:
    whole = matrix(shape)
    found = factorise(whole, Truncation(rank), "x")
    assert found is not None
    kept = min(rank, *shape)
    assert (found.b.shape, found.a.shape) == ((shape[0], kept), (kept, shape[1]))
    left, strengths, right = np.linalg.svd(whole.astype(np.float64), full_matrices=False)
    wanted = (left[:, :kept] * strengths[:kept]) @ right[:kept]
    assert np.abs(found.b @ found.a - wanted).max() < 1e-6 * np.abs(whole).max()
    assert found.energy == pytest.approx(best(whole, kept), abs=1e-6)


@pytest.mark.parametrize("shape", [LARGE, LARGE[::-1]])
@pytest.mark.parametrize("rank", [1, 16, 100])
def test_large_matrices_are_cut_down_nearly_as_well(shape: tuple[int, int], rank: int) -> None:
    whole = matrix(shape)
    found = factorise(whole, Truncation(rank), "x")
    exact = factorise(whole, Truncation(rank, exact=True), "x")
    assert found is not None
    assert exact is not None
    assert exact.energy == pytest.approx(best(whole, rank), abs=1e-6)
    assert exact.energy - 1e-4 < found.energy <= exact.energy + 1e-6
    assert found.b.tobytes() != exact.b.tobytes()  # so that two ways were compared


@pytest.mark.parametrize("shape", [(40, 60), LARGE])
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_energy_is_that_of_the_stored_factors(shape: tuple[int, int], dtype: str) -> None:
    whole = matrix(shape)
    found = factorise(whole, Truncation(8), "x", dtype=dtype)
    assert found is not None
    lacking = whole.astype(np.float64) - found.b.astype(np.float64) @ found.a.astype(np.float64)
    assert found.error == pytest.approx(np.linalg.norm(lacking), rel=1e-5)
    assert found.norm == pytest.approx(np.linalg.norm(whole.astype(np.float64)), rel=1e-9)
    assert found.energy == pytest.approx(1 - (lacking**2).sum() / (whole.astype(np.float64) ** 2).sum(), abs=1e-7)


@pytest.mark.parametrize("energy", [0.3, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize(
    ("shape", "flat"), [((40, 60), False), (LARGE, False), (LARGE, True)], ids=["small", "falling", "flat"]
)
def test_energy_is_reached_by_few_directions(shape: tuple[int, int], flat: bool, energy: float, dtype: str) -> None:
    whole = matrix(shape, np.linspace(1, 0.5, min(shape)) if flat else None)
    found = factorise(whole, Truncation(energy=energy), "x", dtype=dtype)
    assert found is not None
    assert found.energy >= energy
    squares = np.linalg.svd(whole.astype(np.float64), compute_uv=False) ** 2
    fewest = int(np.searchsorted(np.cumsum(squares) / squares.sum(), energy)) + 1
    assert fewest <= found.rank <= fewest + max(2, fewest // 20)


def test_energy_grows_with_the_rank_and_the_highest_rank_limits_it() -> None:
    whole = matrix(LARGE)
    energies = [factorise(whole, Truncation(rank), "x").energy for rank in (1, 2, 4, 8, 16, 32, 300, 464)]  # type: ignore[union-attr]
    assert energies == sorted(energies)
    assert energies[-1] == pytest.approx(1, abs=1e-9)
    limited = factorise(whole, Truncation(energy=0.999, max_rank=5), "x")
    assert limited is not None
    assert limited.rank == 5
    assert limited.energy == pytest.approx(best(whole, 5), abs=1e-4)


@pytest.mark.parametrize("shape", [(40, 60), LARGE])
def test_a_product_is_found_again(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    b, a = random.standard_normal((shape[0], 6)), random.standard_normal((6, shape[1]))
    whole = (b @ a).astype(np.float32)
    for truncation in (Truncation(6), Truncation(energy=1.0), Truncation(energy=0.9999999)):
        found = factorise(whole, truncation, "x")
        assert found is not None
        assert found.rank == 6
        assert np.abs(found.b @ found.a - whole).max() < 2e-6 * np.abs(whole).max()


def test_both_factors_have_half_of_the_strength() -> None:
    found = factorise(matrix((40, 60)), Truncation(5), "x")
    assert found is not None
    assert np.linalg.norm(found.a, axis=1) == pytest.approx(np.linalg.norm(found.b, axis=0), rel=1e-5)


def test_zeros_have_no_factors_and_tiny_or_huge_numbers_have() -> None:
    assert factorise(np.zeros((4, 5), np.float32), Truncation(2), "x") is None
    for scale in (1e-15, 1e15):
        found = factorise(matrix((40, 60)) * np.float32(scale), Truncation(5), "x")
        assert found is not None
        assert found.energy == pytest.approx(best(matrix((40, 60)), 5), abs=1e-6)


def test_same_bytes_for_any_thread_and_other_bytes_for_another_name() -> None:
    whole = matrix(LARGE)
    wanted = factorise(whole, Truncation(16), "x")
    assert wanted is not None
    found: list[bytes] = []

    def once() -> None:
        factors = factorise(whole, Truncation(16), "x")
        found.append(factors.b.tobytes() + factors.a.tobytes() if factors else b"")

    threads = [threading.Thread(target=once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted.b.tobytes() + wanted.a.tobytes()] * 4
    other = factorise(whole, Truncation(16), "y")
    assert other is not None
    assert other.b.tobytes() != wanted.b.tobytes()


@pytest.mark.parametrize("shape", [(40, 60), LARGE])
@pytest.mark.parametrize("truncation", [Truncation(8), Truncation(energy=0.99)])
def test_torch_finds_what_numpy_finds(shape: tuple[int, int], truncation: Truncation) -> None:
    """``cpu:0`` is the CPU to torch and no word for it here, so that the way of a GPU is taken."""
    whole = matrix(shape)
    one, other = (factorise(whole, truncation, "x", device=device) for device in ("cpu", "cpu:0"))
    assert one is not None
    assert other is not None
    assert one.rank == other.rank
    assert one.energy == pytest.approx(other.energy, abs=1e-6)
    assert np.abs(one.b @ one.a - other.b @ other.a).max() < 1e-3 * np.abs(whole).max()


def test_factors_beyond_a_type_are_refused() -> None:
    with pytest.raises(MergeError, match=r"'x' are beyond the largest F16 number"):
        factorise(np.full((4, 4), 1e12, np.float32), Truncation(1), "x", dtype="F16")


def test_rounding_of_16_bit_weights_has_energy_of_full_rank() -> None:
    """What docs/extracting-adapters.md says of it: a product in bfloat16 weights is not found again as a whole."""
    random = np.random.default_rng(5)
    base = random.standard_normal((300, 300)).astype(np.float32) * 0.02
    product = (random.standard_normal((300, 8)) @ random.standard_normal((8, 300))).astype(np.float32) * 1e-3
    half = base.astype(ml_dtypes.bfloat16).astype(np.float32)
    tuned = (half + product).astype(ml_dtypes.bfloat16).astype(np.float32)
    found = factorise(tuned - half, Truncation(8), "x")
    assert found is not None
    assert 0.98 < found.energy < 0.9999
    whole = factorise((half + product) - half, Truncation(8), "x")
    assert whole is not None
    assert whole.energy > 0.999999
    nearer = np.linalg.norm(found.b @ found.a - product) / np.linalg.norm(tuned - half - product)
    assert nearer < 0.5  # most of the rounding is left out: the factors are nearer to the product than the weights were


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "neither"),
        ({"rank": 4, "energy": 0.5}, "both"),
        ({"rank": 4, "max_rank": 8}, "--max-rank"),
        ({"rank": 0}, "at least 1"),
        ({"energy": 0.5, "max_rank": 0}, "at least 1"),
        ({"energy": 0.0}, "above 0"),
        ({"energy": 1.01}, "at most 1"),
        ({"energy": float("nan")}, "at most 1"),
    ],
)
def test_wrong_requests_are_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Truncation(**given)  # type: ignore[arg-type]
