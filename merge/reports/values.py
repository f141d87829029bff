"""JSON values as text for people. Every number of a report is written by one of these functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .page import Cell

# Metrics that are shares of something, shown in percent; the others have units of their own.
SHARES = frozenset({"auc", "calibration_error", "acc", "acc_norm", "exact_match"})
NOTHING = "-"
NO_BREAK = "\N{NO-BREAK SPACE}"  # a unit stays on the line of its number


def is_share(metric: str) -> bool:
    """Tell whether a metric is a fraction between 0 and 1 that people read in percent."""
    return metric in SHARES or metric.endswith("accuracy")


def percent(share: float) -> str:
    """Return a fraction in percent: 0.97962 is ``97.96 %``."""
    return f"{100 * share:.2f}{NO_BREAK}%"


def points(difference: float) -> str:
    """Return a difference of fractions in percentage points, with its sign."""
    return f"{100 * difference:+.2f} points"


def number(value: float) -> str:
    """Return a number to four significant digits, without an exponent where it is of ordinary size."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def metric_value(value: float, metric: str) -> str:
    """Return a value of a metric: in percent if it is a share."""
    return percent(value) if is_share(metric) else number(value)


def metric_range(interval: Sequence[float], metric: str) -> str:
    """Return an interval of a metric; the unit stands once."""
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f}{NO_BREAK}%" if is_share(metric) else f"{number(low)} to {number(high)}"


def metric_difference(value: float, metric: str) -> str:
    """Return a difference of two values of a metric, with its sign."""
    return points(value) if is_share(metric) else f"{value:+.4g}{unit_of(metric)}"


def unit_of(metric: str) -> str:
    """Return what stands behind a number that is in bits: a test compares these, where perplexities are shown."""
    return f" {metric.replace('_', ' ')}" if metric.startswith("bits_per_") else ""


def seconds(value: float) -> str:
    """Return a duration: milliseconds below one second, minutes above two."""
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def size(count: float) -> str:
    """Return a number of bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def numeric(value: float | None, text: str | None = None, *, strong: bool = False) -> Cell:
    """Return a cell that sorts by its value; a dash where there is none."""
    if value is None:
        return Cell(NOTHING)
    shown = text if text is not None else (str(value) if isinstance(value, int) else number(value))
    return Cell(shown, float(value), strong)


def metric_cell(value: float | None, metric: str, *, strong: bool = False) -> Cell:
    """Return a cell with a value of a metric."""
    return Cell(NOTHING) if value is None else numeric(value, metric_value(value, metric), strong=strong)


def range_cell(interval: Sequence[float] | None, metric: str) -> Cell:
    """Return a cell with an interval, which sorts by its lower end."""
    return Cell(NOTHING) if not interval else numeric(interval[0], metric_range(interval, metric))


def text_of(value: Any) -> str:
    """Return a JSON value as text: mappings as ``key: value``, lists with semicolons, None as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return "; ".join(text_of(item) for item in value) or NOTHING
    return str(value)


def title_of(key: str) -> str:
    """Return a key as a heading: ``per_class_accuracy`` becomes ``Per class accuracy``."""
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as a list in a sentence, the many shortened: ``a, b and c``."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} others")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else NOTHING
