"""Coefficients of many samples ▸ a few clusters, so that one merge a cluster serves all of its samples.

A mixture of Beta distributions, as in DaWin: started by k-means, fitted by expectation and maximisation in which both
parameters of a component come from its mean and variance, started anew a few times, the best fit kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import MergeError, UsageError
from .clusters import Clusters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPONENTS, RESTARTS, TOLERANCE, MOST_STEPS = 3, 3, 1e-4, 1000
EDGE = 1e-6  # a Beta density may be infinite at 0 and 1, so that coefficients there are moved in by this much
K_MEANS_STEPS = 300  # as in scikit-learn; ten, scipy's number, leave centres that depend on where they started
TINY = 1e-15  # keeps empty components and constant ones from dividing by 0


@dataclass(frozen=True)
class _Mixture:
    """Logarithms of the weights, and both parameters, of all components [components]."""

    log_weights: NDArray[np.float64]
    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]


def cluster(
    coefficients: NDArray[np.float64],
    components: int = COMPONENTS,
    *,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Clusters:
    """Return clusters of coefficients [n] in [0, 1].

    Where there are no more distinct coefficients than components, each is a cluster of its own, and nothing is fitted.

    Args:
        coefficients: One a sample.
        components: Of the mixture; clusters that would be empty are left out.
        restarts: How often k-means starts anew; each draws from the seed and its own number.
        tolerance: A fit ends when the mean log-likelihood changes by less.
        seed: For the centres that k-means starts from.

    Raises:
        UsageError: There is no component or no start.
        MergeError: There is no coefficient, or one is not in [0, 1].
    """
    import numpy as np

    _check(coefficients, components, restarts)
    inside = np.clip(coefficients, EDGE, 1 - EDGE)
    distinct, places, numbers = np.unique(inside, return_index=True, return_inverse=True)
    if len(distinct) <= components:
        return Clusters(numbers, coefficients[places])
    fits = [_fit(inside, _start(inside, components, seed, number), tolerance) for number in range(restarts)]
    best = max(fits, key=lambda fit: fit[0])[1]
    labels = _weighted_log_densities(inside, best).argmax(axis=1)
    return _in_order(labels, best.alpha / (best.alpha + best.beta))


def _check(coefficients: NDArray[np.float64], components: int, restarts: int) -> None:
    import numpy as np

    if components < 1 or restarts < 1:
        raise UsageError(f"{components} components and {restarts} starts; there is at least one of each")
    if len(coefficients) == 0:
        raise MergeError("the batch is empty: there is no coefficient to cluster")
    outside = ~((coefficients >= 0) & (coefficients <= 1))
    if outside.any():
        place = int(np.flatnonzero(outside)[0])
        raise MergeError(f"the coefficient of sample {place} is {coefficients[place]}; clusters are of 0 to 1")


def _start(values: NDArray[np.float64], components: int, seed: int, number: int) -> NDArray[np.float64]:
    """Return responsibilities [n, components]: all of a sample to the nearest centre of k-means."""
    import warnings

    import numpy as np
    from scipy.cluster.vq import kmeans2

    generator = np.random.default_rng([seed, number])
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster: the fit copes, and it is left out at the end
        _, labels = kmeans2(values, components, iter=K_MEANS_STEPS, minit="++", rng=generator)
    result: NDArray[np.float64] = np.eye(components)[labels]
    return result


def _fit(
    values: NDArray[np.float64], responsibilities: NDArray[np.float64], tolerance: float
) -> tuple[float, _Mixture]:
    """Return the last mean log-likelihood, and the mixture one step further, which is what the published code keeps."""
    import numpy as np
    from scipy.special import logsumexp

    mixture, likelihood = _maximise(values, responsibilities), -np.inf
    for _ in range(MOST_STEPS):
        densities = _weighted_log_densities(values, mixture)
        of_sample = logsumexp(densities, axis=1)
        before, likelihood = likelihood, float(of_sample.mean())
        mixture = _maximise(values, np.exp(densities - of_sample[:, None]))
        if abs(likelihood - before) < tolerance:
            break
    return likelihood, mixture


def _maximise(values: NDArray[np.float64], responsibilities: NDArray[np.float64]) -> _Mixture:
    """Return weights, and the parameters whose Beta distributions have the components' means and variances.

    The variance is held below mean * (1 - mean) / 4, as in the published code: alpha + beta is then at least 3.
    """
    import numpy as np

    shares = responsibilities + TINY
    counts = shares.sum(axis=0)
    means = shares.T @ values / counts
    variances = (shares * (values[:, None] - means) ** 2).sum(axis=0) / counts
    largest = means * (1 - means)
    sizes = largest / (np.minimum(variances, largest / 4) + 1e-10) - 1
    return _Mixture(np.log(counts / counts.sum()), sizes * means, sizes * (1 - means))


def _weighted_log_densities(values: NDArray[np.float64], mixture: _Mixture) -> NDArray[np.float64]:
    """Return log(weight * density) [n, components]; scipy.stats works out the same a hundred times more slowly."""
    import numpy as np
    from scipy.special import betaln

    powers = np.stack([np.log(values), np.log1p(-values)], axis=1) @ np.stack([mixture.alpha - 1, mixture.beta - 1])
    result: NDArray[np.float64] = powers - betaln(mixture.alpha, mixture.beta) + mixture.log_weights
    return result


def _in_order(labels: NDArray[np.int64], means: NDArray[np.float64]) -> Clusters:
    """Leave out components without samples, and number the others by their means."""
    import numpy as np

    used = np.unique(labels)
    order = used[np.argsort(means[used], kind="stable")]
    places = np.zeros(len(means), np.int64)
    places[order] = np.arange(len(order))
    return Clusters(places[labels], means[order])
