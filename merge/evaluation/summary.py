"""What several benchmarks say together: means over tasks, and how much of each expert is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .metrics import CONFIDENCE, mean_of_shares
from .results import AverageRow, ResultRow, RetentionRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .outcome import Outcome

AVERAGED = ("accuracy", "per_class_accuracy")  # fractions; nats and perplexities of different tasks have no mean


def averages(rows: Sequence[ResultRow]) -> list[AverageRow]:
    """Return for every model the mean of its fractions over benchmarks, where there are at least two.

    Every benchmark counts once, whatever its size; the intervals of independent benchmarks add up in squares.
    """
    found: list[AverageRow] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        for metric in AVERAGED:
            of_model = [row for row in rows if (row["model"], row["metric"]) == (model, metric)]
            if len(of_model) < 2:
                continue
            value, low, high = mean_of_shares([row["value"] for row in of_model], [row["interval"] for row in of_model])
            names = [row["benchmark"] for row in of_model]
            found.append(
                {"model": model, "metric": metric, "value": value, "interval": [low, high], "benchmarks": names}
            )
    return found


def retention(outcomes: Mapping[str, Outcome], benchmark: str, expert: str) -> list[RetentionRow]:
    """Return every other model's accuracy over the expert's, for a benchmark whose items are right or wrong."""
    import numpy as np

    theirs = outcomes[expert].items
    if theirs.dtype != np.bool_ or not theirs.any():
        return []
    rows: list[RetentionRow] = []
    for model, outcome in outcomes.items():
        if model == expert or outcome.items.dtype != np.bool_ or outcome.items.shape != theirs.shape:
            continue
        value, low, high = paired_ratio(outcome.items, theirs)
        rows.append(
            {
                "model": model,
                "benchmark": benchmark,
                "expert": expert,
                "metric": outcome.item_metric,
                "value": value,
                "interval": [low, high],
            }
        )
    return rows


def paired_ratio(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> tuple[float, float, float]:
    """Return the ratio of two shares of the same items [n], and its interval.

    The interval is that of the logarithm of the ratio, whose variance for pairs is (only ours + only theirs) over the
    product of both counts (Nam and Blackwelder 2002), with one half added to each of the two kinds of items on which
    the models part, so that it does not vanish where there are none (after Haldane). Counts alone give it.
    """
    import math

    from scipy.stats import norm

    right, expected = int(ours.sum()), int(theirs.sum())
    discordant = int((ours != theirs).sum())
    ratio, centre = right / expected, (right + 0.5) / (expected + 0.5)
    spread = math.sqrt((discordant + 1) / ((right + 0.5) * (expected + 0.5)))
    reach = math.exp(float(norm.ppf((1 + CONFIDENCE) / 2)) * spread)
    return ratio, min(ratio, centre / reach), max(ratio, centre * reach)
