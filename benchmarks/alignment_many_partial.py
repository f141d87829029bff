"""Networks that are merged in part, at several budgets (PLeaS): with the same labels, and with different ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from alignment_many_tables import AT_LEAST, AT_MOST, Findings, Size
from alignment_many_workshop import Task, Workshop, scores
from alignment_networks import Training

BUDGETS = (0.0, 0.25, 0.5, 0.75, 1.0)
ALLOCATIONS = ("even", "quantile", "solver")
SAME = "Merged in part, the same ten labels: test accuracy (loss) by budget"
APART = "Merged in part, digits 0 to 4 and 5 to 9, heads apart: mean test accuracy by budget"
STAND_IN = "on stand-in inputs"
NOISE = 0.01  # of the accuracy: a step down by less than this is no fall
LOW, HIGH = range(5), range(5, 10)
NARROW, PAIRS = 32, 2


def budgets(folder: Path, size: Size, found: Findings) -> None:
    """Merge pairs at every budget: wide networks, and narrow ones, which have few units to spare."""
    for width in sorted({size.width, min(size.width, NARROW)}, reverse=True):
        place = folder / str(width)
        place.mkdir()
        shop = Workshop(place, width, size.epochs, size.images)
        for seeds in size.pairs[:PAIRS]:
            label = f"3 x {width}, seeds {seeds[0]} and {seeds[1]}"
            _same_labels(shop, seeds, label, found)
            _other_labels(shop, seeds, label, found)


def _same_labels(shop: Workshop, seeds: tuple[int, int], label: str, found: Findings) -> None:
    task = shop.task("digits")
    architecture = shop.architecture(task)
    a, b = (shop.network(task, Training(), seed) for seed in seeds)
    members = scores([a, b], task.test, architecture)
    for way, given in _ways(task):
        outs = [shop.merge("pleas", a, b, "--budget", f"{budget:g}", *given, *architecture) for budget in BUDGETS]
        curve = scores(outs, task.test, architecture)
        row = [label, way, *(f"{one.accuracy:.3f} ({one.loss:.3f})" for one in curve)]
        found.add(SAME, ("pair", "budgets", *map(str, BUDGETS), "members"), [*row, _accuracies(members)])
        what = f"PLeaS, {way}, {label}, the same labels: loss at 1, against that at 0"
        found.want(what, AT_MOST, curve[0].loss, curve[-1].loss)


def _other_labels(shop: Workshop, seeds: tuple[int, int], label: str, found: Findings) -> None:
    every, low, high = shop.task("digits"), *(_half(shop, *half) for half in (("low", LOW, 0), ("high", HIGH, 5)))
    architecture = shop.architecture(low)
    models = [shop.network(task, Training(), seed) for task, seed in zip((low, high), seeds, strict=True)]
    plain = [shop.task(name, classes) for name, classes in (("low-alone", LOW), ("high-alone", HIGH))]
    alone = [scores([model], task.test, architecture)[0] for model, task in zip(models, plain, strict=True)]
    own = sum(one.accuracy for one in alone) / 2
    for way, given in _ways(every):
        words = ("pleas", *models, "--heads", "apart", *given, *architecture)
        outs = [shop.merge(*words, "--budget", f"{budget:g}") for budget in BUDGETS]
        found_low, found_high = (scores(outs, task.test, architecture) for task in (low, high))
        curve = [(one.accuracy + other.accuracy) / 2 for one, other in zip(found_low, found_high, strict=True)]
        row = [label, way, *(f"{accuracy:.3f}" for accuracy in curve), f"{own:.3f}"]
        found.add(APART, ("pair", "budgets", *map(str, BUDGETS), "members"), row)
        fall = max(before - after for before, after in pairwise(curve))
        found.want(f"PLeaS, {way}, {label}: largest fall from budget to budget", AT_MOST, NOISE, fall)
        found.want(f"PLeaS, {way}, {label}: accuracy at 1, against the members' own", AT_LEAST, own, curve[-1])


def _half(shop: Workshop, name: str, classes: range, first: int) -> Task:
    """Return half of the digits, scored by the outputs that are theirs in a network with both heads."""
    return shop.task(name, classes, outputs=[first, first + len(classes) - 1])


def _ways(task: Task) -> list[tuple[str, list[str]]]:
    """Return every way of dividing the budget, and what it is called."""
    data = ["--data", task.train, "--samples", "512"]
    found = [(allocation, ["--allocation", allocation, *data]) for allocation in ALLOCATIONS]
    return [*found, (f"{ALLOCATIONS[0]}, {STAND_IN}", ["--allocation", ALLOCATIONS[0], "--stand-in"])]


def _accuracies(members: list) -> str:
    return " / ".join(f"{one.accuracy:.3f}" for one in members)
