"""Is one model better than another? Paired, since both saw the same items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .results import ComparisonRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .outcome import Outcome

MCNEMAR = "exact McNemar"
PERMUTATION = "paired permutation"
RESAMPLES = 9999


def compare(outcomes: Mapping[str, Outcome], benchmark: str, *, seed: int = 0) -> list[ComparisonRow]:
    """Compare every model with the first one, by the items that the main metric is a mean of.

    Models whose items are not the same (texts cut up by different tokenizers) are not compared.
    """
    reference, *others = outcomes
    first = outcomes[reference]
    rows = []
    for model in others:
        ours = outcomes[model]
        if ours.pairing == first.pairing and ours.items.shape == first.items.shape:
            rows.append(_pair(ours.items, first.items, seed) | _names(model, reference, benchmark, ours))
    return [{key: row[key] for key in ComparisonRow.__annotations__} for row in rows]  # type: ignore[misc]


def correct_for_all(rows: Sequence[ComparisonRow]) -> None:
    """Enter the p-values corrected for all the rows: every model on every benchmark is one more chance of a fluke."""
    for row, p_value in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_value_holm"] = p_value


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value for two models, from the items that exactly one of them gets right."""
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def permutation(ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int) -> float:
    """Return the two-sided p-value of the mean difference [n], by swapping the two models item by item at random."""
    import numpy as np
    from scipy.stats import permutation_test

    if not (ours - theirs).any():
        return 1.0
    found = permutation_test(
        (ours, theirs),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        batch=max(1, 10**6 // ours.size),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for being several (Holm 1979), in the order given."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _names(model: str, reference: str, benchmark: str, outcome: Outcome) -> dict[str, object]:
    return {"model": model, "reference": reference, "benchmark": benchmark, "metric": outcome.item_metric}


def _pair(ours: NDArray[np.generic], theirs: NDArray[np.generic], seed: int) -> dict[str, object]:
    import numpy as np

    counts: tuple[int | None, int | None] = (None, None)
    if ours.dtype == np.bool_ and theirs.dtype == np.bool_:
        ours_only, theirs_only = int(np.greater(ours, theirs).sum()), int(np.greater(theirs, ours).sum())
        counts = (ours_only, theirs_only)
        p_value, test, difference = mcnemar(ours_only, theirs_only), MCNEMAR, (ours_only - theirs_only) / ours.size
    else:
        first, second = ours.astype(np.float64), theirs.astype(np.float64)
        p_value, test, difference = permutation(first, second, seed), PERMUTATION, float((first - second).mean())
    return {
        "difference": difference,
        "n": int(ours.size),
        "only_model_right": counts[0],
        "only_reference_right": counts[1],
        "test": test,
        "p_value": p_value,
        "p_value_holm": p_value,
    }
