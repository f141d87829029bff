"""Errors under corruption in one number, relative to a reference model (Hendrycks and Dietterich 2019, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...errors import MergeError, UsageError

_COUNT = 5  # severities
Errors = Mapping[str, Sequence[float]]


def mean_corruption_error(errors: Errors, reference: Errors) -> float:
    """Return the mCE: the mean over corruptions of the corruption errors.

    Args:
        errors: Corruption ▸ five error rates (1 - accuracy), severity 1 to 5.
        reference: The same for the model to compare with; in the paper AlexNet.

    Returns:
        A ratio: 1 is as bad as the reference (the paper writes 100).

    Raises:
        UsageError: Corruptions that one side lacks, or rates that are not five numbers from 0 to 1.
        MergeError: The reference makes no errors under a corruption.
    """
    return _mean(corruption_errors(errors, reference))


def relative_mean_corruption_error(errors: Errors, clean: float, reference: Errors, reference_clean: float) -> float:
    """Return the relative mCE: how much corruptions add to the error, compared with the reference.

    Args:
        errors: As in ``mean_corruption_error``.
        clean: The error rate without corruption.
        reference: As in ``mean_corruption_error``.
        reference_clean: The reference's error rate without corruption.

    Returns:
        A ratio: 1 is to lose as much as the reference.

    Raises:
        UsageError: As in ``mean_corruption_error``.
        MergeError: A corruption adds nothing to the errors of the reference.
    """
    return _mean(relative_corruption_errors(errors, clean, reference, reference_clean))


def corruption_errors(errors: Errors, reference: Errors) -> dict[str, float]:
    """Return the CE of each corruption: the sum of the errors over that of the reference; arguments as for the mean."""
    _check(errors, reference)
    return {name: _quotient(name, sum(errors[name]), sum(reference[name])) for name in errors}


def relative_corruption_errors(
    errors: Errors, clean: float, reference: Errors, reference_clean: float
) -> dict[str, float]:
    """Return the relative CE of each corruption; arguments as for the mean."""
    _check(errors, reference)
    for rate in (clean, reference_clean):
        _check_rates("clean", [rate], 1)
    return {
        name: _quotient(name, sum(errors[name]) - _COUNT * clean, sum(reference[name]) - _COUNT * reference_clean)
        for name in errors
    }


def _mean(values: Mapping[str, float]) -> float:
    return math.fsum(values.values()) / len(values)


def _quotient(name: str, above: float, below: float) -> float:
    # Rates are counts over thousands of images: a sum this small is a rounding of zero.
    if below < 1e-9:
        what = f"{name}: the reference loses nothing here, so there is nothing to divide by"
        raise MergeError(what, hint="take a reference that does worse, or leave this corruption out of both")
    return above / below


def _check(errors: Errors, reference: Errors) -> None:
    for one, other, side in ((errors, reference, "errors"), (reference, errors, "the reference")):
        missing = [name for name in other if name not in one]
        if missing:
            hint = "a mean over fewer corruptions is another number; if it is the one you want, leave them out of both"
            raise UsageError(f"{side} lack{'s' * (one is reference)} {', '.join(missing)}", hint=hint)
    if not errors:
        raise UsageError("no corruption to take a mean over", hint="give the errors under one at least")
    for name in errors:
        for rates in (errors[name], reference[name]):
            _check_rates(name, rates, _COUNT)


def _check_rates(name: str, rates: Sequence[float], count: int) -> None:
    if len(rates) != count or not all(0 <= rate <= 1 for rate in rates):
        what = f"{name}: {list(rates)} are not {count} error rates from 0 to 1"
        raise UsageError(what, hint="an error rate is 1 - accuracy, not a percentage; one for each severity")
