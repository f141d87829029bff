"""The area under the ROC curve, for benchmarks with ``metrics: [auc]``: a mean over classes, each against the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError, suggest
from ..section import Section
from .outcome import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUC = "auc"
MORE_METRICS = (AUC,)  # what benchmarks may ask for besides what is always reported


def read_metrics(section: Section) -> tuple[str, ...]:
    """Return the names under ``metrics``. Raises UsageError for one that is unknown or there twice."""
    found: list[str] = []
    for name, where in section.items("metrics"):
        if name not in MORE_METRICS:
            hint = suggest(name, MORE_METRICS) or f"there is {', '.join(MORE_METRICS)}; the others are always reported"
            raise UsageError(f"no metric '{name}' to add", where=where, hint=hint)
        if name in found:
            raise UsageError(f"'{name}' is there twice", where=where)
        found.append(name)
    return tuple(found)


def area_under_curve(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Measure | None:
    """Return the mean over the classes present of the area under each one's curve against all others.

    The interval is DeLong's (1988, Biometrics 44:837), of the mean over the classes, on the scale of log-odds. Where
    that vanishes, as every image is ranked right, it is Wilson's of as many images as the smallest class has.

    Args:
        log_probabilities: [n, classes].
        labels: Class numbers [n].

    Returns:
        None where all images are of one class, so that there is no curve.
    """
    import numpy as np

    classes = np.unique(labels)
    if len(classes) < 2:
        return None
    scores = _log_odds(log_probabilities)
    pairs = [_one_against_rest(scores[:, number], labels == number) for number in classes]
    value = float(np.mean([area for area, _ in pairs]))
    influence = np.mean([of_class for _, of_class in pairs], axis=0)
    error = float(np.sqrt((influence**2).sum())) / len(labels)
    smallest = int(np.bincount(labels)[classes].min())
    low, high = _interval(value, error, smallest)
    return Measure(AUC, value, low, high, len(labels))


def _log_odds(log_probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) [n, classes]: in the order of p, but without the ties of a p that rounds to 1."""
    import numpy as np
    from scipy.special import logsumexp

    images, highest = np.arange(len(log_probabilities)), log_probabilities.argmax(axis=1)
    with np.errstate(divide="ignore"):
        of_rest = np.log1p(-np.exp(log_probabilities))  # exact enough where p is small; all but the highest are
    others = log_probabilities.copy()
    others[images, highest] = -np.inf
    of_rest[images, highest] = logsumexp(others, axis=1)
    result: NDArray[np.float64] = log_probabilities - of_rest
    return result


def _one_against_rest(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Return the area, and by how much n times it would change with each image [n]."""
    import numpy as np
    from scipy.stats import rankdata

    within = np.empty(len(scores))
    for of_kind in (positive, ~positive):
        within[of_kind] = rankdata(scores[of_kind])
    beaten = rankdata(scores) - within  # images of the other kind with a lower score, ties by half
    counts = np.where(positive, positive.sum(), (~positive).sum())
    shares = beaten / (len(scores) - counts)
    placements = np.where(positive, shares, 1 - shares)
    area = float(placements[positive].mean())
    unbiased = np.sqrt(counts / np.maximum(counts - 1, 1))
    return area, (placements - area) * unbiased * len(scores) / counts


def _interval(value: float, error: float, smallest: int) -> tuple[float, float]:
    from scipy.special import expit, logit
    from scipy.stats import norm

    from .metrics import CONFIDENCE, wilson

    if value in (0, 1) or error == 0:
        low, high = wilson(round(value * smallest), smallest)
        return min(low, value), max(high, value)
    reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * error / (value * (1 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))
