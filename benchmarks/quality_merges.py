"""What ``quality.py`` compares: rows of merges, each scored on all the ways to choose so many tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from digit_experts import BASE
from digit_tasks import TASKS
from quality_workshop import Workshop

Chosen = tuple[str, ...]
Score = dict[Chosen, float]  # mean accuracy over the tasks, for every choice of tasks
Merging = Callable[[Workshop, Chosen], str]

SAMPLES = 256
FACTORS = (0.0, 0.5, 0.9, 0.95, 1.0)
SAMPLE_COUNTS = (16, 64, 256)
SCALES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
EXPERTS = "experts, each on its own task"
CHOSEN = ", scale chosen"
AVERAGE, FISHER, REGMEAN, REGMEAN_PP = "average", "Fisher", "RegMean", "RegMean++"
ARITHMETIC, TIES = "task arithmetic", "TIES"


def choices(number: int, most: int | None = None) -> list[Chosen]:
    """Return all the ways to choose so many tasks, or the first ones."""
    return list(combinations(TASKS, number))[:most]


def main_rows(samples: int) -> dict[str, Merging]:
    """Return the merges of the main table, except those with a scale chosen on validation images."""
    return {
        AVERAGE: lambda shop, chosen: shop.merge(chosen, "soup"),
        f"{ARITHMETIC}, scale 0.3": _scaled("task-arithmetic", 0.3),
        f"{ARITHMETIC}, scale 1": _scaled("task-arithmetic", 1.0),
        f"{TIES}, density 0.2, scale 1": _scaled("ties", 1.0),
        FISHER: lambda shop, chosen: shop.merge(chosen, "fisher", *shop.statistics("fisher", chosen, samples)),
        REGMEAN: regmean(samples),
        REGMEAN_PP: lambda shop, chosen: shop.merge(chosen, "regmean-pp", *shop.base(), *shop.data(chosen, samples)),
    }


def regmean(samples: int, factor: float | None = None) -> Merging:
    """Return a merge by RegMean.

    Args:
        samples: Images that each Gram matrix is computed from.
        factor: Off the diagonal; the tool's default where there is none.
    """
    flags = [] if factor is None else ["--off-diagonal", str(factor)]
    return lambda shop, chosen: shop.merge(chosen, "regmean", *shop.statistics("gram", chosen, samples), *flags)


def sweep_rows(samples: int) -> dict[str, Merging]:
    """Return RegMean with other factors, and with other numbers of samples."""
    factors = {f"factor {factor:g}, {samples} samples": regmean(samples, factor) for factor in FACTORS}
    counts = [count for count in SAMPLE_COUNTS if count < samples]
    return factors | {f"factor 0.95, {count} samples": regmean(count) for count in counts}


def score_fixed(shop: Workshop, rows: dict[str, Merging], wanted: Iterable[Chosen]) -> dict[str, Score]:
    """Return how every row does on the held-out images."""
    found: dict[str, Score] = {label: {} for label in rows}
    for chosen in wanted:
        merged = [merging(shop, chosen) for merging in rows.values()]
        for label, accuracy in zip(rows, shop.accuracies(merged, chosen, "test"), strict=True):
            found[label][chosen] = accuracy
    return found


def score_chosen(
    shop: Workshop, wanted: Iterable[Chosen], scales: Sequence[float]
) -> tuple[dict[str, Score], dict[str, list[float]]]:
    """Return how the methods with a scale do when it is chosen on the validation images, and the scales chosen.

    Of equal accuracies the smallest scale wins. The held-out images see the one merge that was chosen.
    """
    methods = {f"{ARITHMETIC}{CHOSEN}": "task-arithmetic", f"{TIES}{CHOSEN}": "ties"}
    found: dict[str, Score] = {label: {} for label in methods}
    used: dict[str, list[float]] = {label: [] for label in methods}
    for chosen in wanted:
        for label, method in methods.items():
            merged = [_scaled(method, scale)(shop, chosen) for scale in scales]
            seen = shop.accuracies(merged, chosen, "validation")
            best = seen.index(max(seen))
            used[label].append(scales[best])
            (found[label][chosen],) = shop.accuracies([merged[best]], chosen, "test")
    return found, used


def score_unmerged(shop: Workshop, wanted: Iterable[Chosen]) -> dict[str, Score]:
    """Return how the base and the experts do, every expert on its own task."""
    base = {task: shop.accuracies([shop.models[BASE]], [task], "test")[0] for task in TASKS}
    experts = {task: shop.accuracies([shop.models[task]], [task], "test")[0] for task in TASKS}
    wanted = list(wanted)
    return {
        label: {chosen: sum(of_task[task] for task in chosen) / len(chosen) for chosen in wanted}
        for label, of_task in ((EXPERTS, experts), (BASE, base))
    }


def _scaled(method: str, scale: float) -> Merging:
    return lambda shop, chosen: shop.merge(chosen, method, *shop.base(), "--scale", str(scale))
