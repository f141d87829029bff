"""The tables of ``quality.py``: means over seeds with intervals, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from digit_experts import BASE
from quality_merges import ARITHMETIC, AVERAGE, CHOSEN, EXPERTS, FISHER, REGMEAN, REGMEAN_PP, TIES, Score
from quality_trial import PAIR, Trial
from scipy.stats import t

CONFIDENCE = 0.95
UNKNOWN = "one seed"
_COLUMNS = {label: label for label in (BASE, AVERAGE, FISHER, REGMEAN, REGMEAN_PP)} | {EXPERTS: "experts"}
DIFFERENCES = (
    (REGMEAN, AVERAGE),
    (REGMEAN_PP, AVERAGE),
    (REGMEAN_PP, REGMEAN),
    (REGMEAN, FISHER),
    (REGMEAN, f"{ARITHMETIC}{CHOSEN}"),
    (REGMEAN, f"{TIES}{CHOSEN}"),
    (FISHER, AVERAGE),
)


def mean_table(trials: Sequence[Trial], number: int) -> str:
    """Return the mean accuracy over the tasks of every row, for merges of so many experts."""
    scores = [trial.scores[number] for trial in trials]
    lines = [[label, *_accuracy([_mean(of_seed[label]) for of_seed in scores])] for label in scores[0]]
    return markdown(("model", "mean accuracy %", "95 % interval"), lines)


def sweep_table(trials: Sequence[Trial]) -> str:
    """Return RegMean on pairs with other settings; the difference is to the average of the same experts."""
    average = [_mean(trial.scores[PAIR][AVERAGE]) for trial in trials]
    lines = []
    for label in trials[0].sweep:
        values = [_mean(trial.sweep[label]) for trial in trials]
        lines.append([label, *_accuracy(values), _points(np.subtract(values, average))])
    return markdown(("RegMean", "mean accuracy %", "95 % interval", "minus average, points"), lines)


def difference_table(trials: Sequence[Trial], number: int) -> str:
    """Return differences between rows, paired over seeds."""
    lines = []
    for label, reference in DIFFERENCES:
        differences = [_mean(trial.scores[number][label]) - _mean(trial.scores[number][reference]) for trial in trials]
        lines.append([f"{label} minus {reference}", _points(differences), _positive(differences)])
    return markdown(("difference", "points", "seeds above 0"), lines)


def choice_table(trials: Sequence[Trial], number: int) -> str:
    """Return every choice of tasks by itself."""
    lines = []
    for chosen in trials[0].scores[number][AVERAGE]:
        columns = {label: [trial.scores[number][label][chosen] for trial in trials] for label in _COLUMNS}
        means = [f"{100 * np.mean(values):.1f}" for values in columns.values()]
        difference = np.subtract(columns[REGMEAN], columns[AVERAGE])
        lines.append([", ".join(chosen), *means, _points(difference)])
    return markdown(("tasks", *_COLUMNS.values(), "RegMean minus average, points"), lines)


def scales_chosen(trials: Sequence[Trial], number: int) -> str:
    """Return in words which scales the validation images chose."""
    parts = []
    for label in trials[0].scales[number]:
        scales = [scale for trial in trials for scale in trial.scales[number][label]]
        parts.append(f"{label.removesuffix(CHOSEN)} {min(scales):g} to {max(scales):g}, median {np.median(scales):g}")
    return "; ".join(parts)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, low and high: Student's t interval of the mean over seeds; of one seed the mean and NaN."""
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return mean, float("nan"), float("nan")
    reach = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) / count**0.5)
    return mean, mean - reach, mean + reach


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well as plain text."""
    widths = [max(len(line[column]) for line in (headings, *lines)) for column in range(len(headings))]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    texts = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in (headings, *lines)
    ]
    return "\n".join([texts[0], rule, *texts[1:]])


def _accuracy(values: Sequence[float]) -> tuple[str, str]:
    mean, low, high = (100 * value for value in interval(values))
    return f"{mean:.1f}", f"{low:.1f} to {high:.1f}" if len(values) > 1 else UNKNOWN


def _points(differences: Sequence[float]) -> str:
    mean, low, high = (100 * value for value in interval(differences))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if len(differences) > 1 else f"{mean:+.1f} ({UNKNOWN})"


def _positive(differences: Sequence[float]) -> str:
    return f"{sum(value > 0 for value in differences)} of {len(differences)}"


def _mean(score: Score) -> float:
    return sum(score.values()) / len(score)
