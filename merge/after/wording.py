"""What a user should know of statistics that a model is adjusted by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..calibration.facts import Facts
from ..errors import some_of
from ..planning.adjustment import MEASURED, SCALED, Adjustment
from ..planning.rows import Row
from .batch_norm_layers import MEAN
from .order import SAME_ORDER

FEW = 32  # items with which a mean over them is still far from certain


def layers_of(rows: Iterable[Row]) -> Counter[str]:
    """Return how many layers are ``reset`` and ``corrected``."""
    found: Counter[str] = Counter()
    for row in rows:
        found["reset"] += row.reason == MEASURED and row.name.endswith(MEAN)
        found["corrected"] += row.reason == SCALED and len(row.shape) > 1
    return +found


def remarks_of(adjustment: Adjustment, rows: Iterable[Row]) -> Iterator[str]:
    """Yield what the card says, a line each."""
    about, counts = adjustment.facts.about, layers_of(rows)
    words = {"reset": "BatchNorm layer", "corrected": "layer"}
    layers = ", ".join(f"{count} {words[what]}{'s' * (count != 1)} {what}" for what, count in counts.items())
    data = about.get("data", {})
    where = f" on {data['number']} items of {data['name']}" if {"number", "name"} <= data.keys() else ""
    yield f"{layers}: activations measured{where}"
    if about.get("toward"):
        yield f"goal: {_average([model['model'] for model in about['toward']], about.get('shares', [1]))}"


def _left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield how many tensors, or BatchNorm layers, stay as before, why, and which."""
    for reason, count in Counter(reasons.values()).most_common():
        names = [name for name, why in reasons.items() if why == reason]
        kind = "layer" if all(name.endswith(MEAN) for name in names) else "tensor"
        which = some_of((name.removesuffix(f".{MEAN}") for name in names), 3)
        yield f"{count} {kind}{' stays' if count == 1 else 's stay'} as before: {reason} ({which})"


def _average(names: Sequence[str], shares: Sequence[float]) -> str:
    if len(set(shares)) == 1:
        return f"the average of {', '.join(names)}"
    return " + ".join(f"{share:.3g} * {name}" for name, share in zip(names, shares, strict=True))


def warnings_of(facts: Facts) -> Iterator[str]:
    """Yield what may be wrong."""
    about = facts.about
    items = about.get("data", {}).get("number", FEW)
    if items < FEW:
        yield f"measured on {items} items only: means and variances of so few are far from those of all data"
    yield from _left_out(about.get("left_out", {}))
    if about.get("without_bias"):
        count = len(about["without_bias"])
        yield f"{count} {'layer without a bias is' if count == 1 else 'layers without a bias are'} scaled, not shifted"
    if about.get("nearness", 1.0) < SAME_ORDER:
        yield (
            f"the model is no average of the models of --toward (cosine {about['nearness']:.2f}): the units of all "
            "must be in one order, so give the aligned ones"
        )
