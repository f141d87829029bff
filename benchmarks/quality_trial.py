"""One seed of ``quality.py``: train the base and the experts, merge them in every way, score everything."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from digit_experts import make_models
from digit_tasks import make_tasks
from quality_merges import (
    SAMPLES,
    SCALES,
    Score,
    choices,
    main_rows,
    score_chosen,
    score_fixed,
    score_unmerged,
    sweep_rows,
)
from quality_workshop import Workshop

from merge.demo.training import Schedule

PAIR = 2


@dataclass(frozen=True)
class Size:
    """How much is done for one seed.

    Attributes:
        base: How the base is trained.
        expert: How each expert is trained.
        samples: Images per task from which statistics are computed.
        most: Choices of tasks of one number, at most.
        scales: Those that the validation images choose from.
    """

    base: Schedule
    expert: Schedule
    samples: int = SAMPLES
    most: int | None = None
    scales: Sequence[float] = SCALES


# Fixed beforehand, by looking at validation images of other seeds; the held-out images chose no number here.
FULL = Size(Schedule(epochs=20, learning_rate=3e-3), Schedule(epochs=10, learning_rate=1e-3))
QUICK = Size(Schedule(1, 3e-3), Schedule(1, 1e-3), samples=32, most=1, scales=(0.3, 1.0))


@dataclass(frozen=True)
class Trial:
    """What one seed gave.

    Attributes:
        scores: By number of tasks, then by row.
        scales: Those that the validation images chose, by number of tasks, then by row.
        sweep: RegMean on pairs with other settings, by row.
    """

    scores: dict[int, dict[str, Score]] = field(default_factory=dict)
    scales: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    sweep: dict[str, Score] = field(default_factory=dict)


def run_trial(seed: int, numbers: Sequence[int], size: Size) -> Trial:
    """Do everything for one seed, in a temporary folder and on one thread, so that seeds can run side by side.

    Args:
        seed: First weights, order of the training images, images drawn for calibration.
        numbers: How many experts are merged at a time.
        size: How much is done.
    """
    torch.set_num_threads(1)
    trial = Trial()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = make_tasks(folder)
        shop = Workshop(folder, tasks, make_models(tasks, folder, seed, size.base, size.expert), seed)
        for number in numbers:
            wanted = choices(number, size.most)
            by_choice, trial.scales[number] = score_chosen(shop, wanted, size.scales)
            fixed = score_fixed(shop, main_rows(size.samples), wanted)
            trial.scores[number] = score_unmerged(shop, wanted) | fixed | by_choice
        if PAIR in numbers:
            trial.sweep.update(score_fixed(shop, sweep_rows(size.samples), choices(PAIR, size.most)))
    return trial
