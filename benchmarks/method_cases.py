"""Every streaming method against the soup of the same bytes: base + 3 models, or two."""

from __future__ import annotations

from pathlib import Path

from inputs import Inputs
from rows import Row, Target, cpu_ratio, merge, peak

_PEAK = 150  # MB, of methods that work on pieces or rows
_LIMIT = 8  # CPU seconds of the soup
_LIMITS = {"della": 30}  # ranks the entries of every row
_SEEDED = ("--seed", "1")

# Flags of methods over three task vectors.
_TASK_VECTORS: dict[str, tuple[str, ...]] = {
    "task-arithmetic": (),
    "ties": (),
    "dare": _SEEDED,
    "dare, rescale l1, ties": ("--rescale", "l1", "--ties", *_SEEDED),
    "breadcrumbs": ("--density", "0.5"),
    "model-stock": (),
    "model-stock, filter-wise": ("--filter-wise",),
    "magmax": (),
    "consensus": (),
    "sce": ("--select-topk", "0.5"),
    "ram": (),
    "multislerp": (),
    "della": _SEEDED,
}
# Flags of methods over four models' weights.
_WEIGHTS: dict[str, tuple[str, ...]] = {"karcher": (), "ema": (), "median": (), "trimmed-mean": ("--trim", "0.25")}


def methods(inputs: Inputs) -> list[Row]:
    """Return the rows of all methods that work on pieces or rows."""
    base, *models = (inputs.tuned(variant) for variant in range(4))
    out = inputs.output("merged.st")
    four, two, pair = "soup, 4 x bf16", "soup, 2 x bf16", "soup, base + 1"
    rows = [Row(four, (merge("soup", [base, *models], out),), output=out)]
    rows += [_row(label, flags, models, out, four, base) for label, flags in _TASK_VECTORS.items()]
    rows += [_row(label, flags, [base, *models], out, four) for label, flags in _WEIGHTS.items()]
    rows.append(Row(two, (merge("soup", models[:2], out),), output=out))
    rows += [_row(label, (), models[:2], out, two) for label in ("slerp", "nuslerp")]
    rows.append(Row(pair, (merge("soup", [base, models[0]], out),), output=out))
    for label in ("wise-ft", "lines", "nearswap", "arcee-fusion"):
        flags = ("--t", "0.001") if label == "nearswap" else ()
        rows.append(_row(label, flags, models[:1], out, pair, base))
    return rows


def _row(
    label: str, flags: tuple[str, ...], models: list[Path], out: Path, reference: str, base: Path | None = None
) -> Row:
    method = label.partition(",")[0]
    options = (*flags, *(("--base", str(base)) if base else ()))
    targets: tuple[Target, ...] = (cpu_ratio(_LIMITS.get(method, _LIMIT), "x"), peak(_PEAK))
    return Row(label, (merge(method, models, out, *options),), reference, targets, out)
