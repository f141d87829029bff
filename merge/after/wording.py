"""What a user should know of statistics that a model is adjusted by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..calibration.facts import Facts
from ..planning.adjustment import Adjustment
from ..planning.rows import Row
from .batch_norm_layers import MEAN
from .order import SAME_ORDER


def layers_of(rows: Iterable[Row]) -> Counter[str]:
    """Return how many layers are ``reset`` and ``corrected``."""
    found: Counter[str] = Counter()
    for row in rows:
        found["reset"] += row.action == "copy" and bool(row.reason) and row.name.endswith(MEAN)
        found["corrected"] += row.action == "merge" and len(row.shape) > 1
    return +found


def remarks_of(adjustment: Adjustment, rows: Iterable[Row]) -> Iterator[str]:
    """Yield what the card says, a line each."""
    about, counts = adjustment.facts.about, layers_of(rows)
    words = {"reset": "BatchNorm layers reset", "corrected": "layers corrected"}
    layers = ", ".join(f"{count} {words[what]}" for what, count in counts.items())
    data = about.get("data", {})
    where = f" on {data['number']} items of {data['name']}" if {"number", "name"} <= data.keys() else ""
    yield f"{layers}: activations measured{where}"
    if about.get("toward"):
        yield f"goal: the average of {', '.join(model['model'] for model in about['toward'])}"


def warnings_of(facts: Facts) -> Iterator[str]:
    """Yield what may be wrong."""
    about = facts.about
    reasons = Counter(about.get("left_out", {}).values())
    for reason, count in reasons.most_common():
        yield f"{count} {'layer stays' if count == 1 else 'layers stay'} as before: {reason}"
    if about.get("without_bias"):
        count = len(about["without_bias"])
        yield f"{count} {'layer without a bias is' if count == 1 else 'layers without a bias are'} scaled, not shifted"
    if about.get("nearness", 1.0) < SAME_ORDER:
        yield (
            f"the model is no average of the models of --toward (cosine {about['nearness']:.2f}): the units of all "
            "must be in one order, so give the aligned ones"
        )
