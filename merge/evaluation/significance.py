"""Is one model better than another? Paired, since both saw the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .results import ComparisonRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .scoring import Outcome

TEST = "exact McNemar"


def compare(outcomes: Mapping[str, Outcome], benchmark: str) -> list[ComparisonRow]:
    """Compare the accuracy of every model with that of the first one."""
    reference, *others = outcomes
    rows = [_pair(model, reference, outcomes, benchmark) for model in others]
    for row, p_value in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_value_holm"] = p_value
    return rows


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value for two models, from the images that exactly one of them gets right."""
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for being several (Holm 1979), in the order given."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _pair(model: str, reference: str, outcomes: Mapping[str, Outcome], benchmark: str) -> ComparisonRow:
    ours, theirs = outcomes[model].correct, outcomes[reference].correct
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p_value = mcnemar(only_ours, only_theirs)
    return {
        "model": model,
        "reference": reference,
        "benchmark": benchmark,
        "metric": "accuracy",
        "difference": (only_ours - only_theirs) / ours.size,
        "n": int(ours.size),
        "only_model_right": only_ours,
        "only_reference_right": only_theirs,
        "test": TEST,
        "p_value": p_value,
        "p_value_holm": p_value,
    }
