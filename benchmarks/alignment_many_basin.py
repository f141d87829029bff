"""Three models and more in one order, and pairs that need gradients to be matched."""

from __future__ import annotations

from pathlib import Path

from alignment_many_tables import AT_LEAST, AT_MOST, Findings, Size, score_text
from alignment_many_workshop import Workshop, barrier, scores
from alignment_networks import Training

MANY = "Several networks in one order: test accuracy (loss) of their mean"
HARD = "Pairs that weight matching leaves apart: test barrier, midpoint"
WAYS = {"reference": "each to the first", "medoid": "each to the medoid", "mean": "MergeMany", "universe": "C2M3"}
MATCHINGS = ("weights", "activations", "straight-through")


def four_models(folder: Path, size: Size, found: Findings) -> None:
    """Merge networks that were trained independently, in every way that there is."""
    shop = Workshop(folder, size.width, size.epochs, size.images)
    task = shop.task("digits")
    architecture = shop.architecture(task)
    for seeds in size.sets:
        models = [shop.network(task, Training(), seed) for seed in seeds]
        merged = {"the networks' mean as they are": shop.merge("soup", *models)}
        for many, label in WAYS.items():
            merged[label] = shop.merge("rebasin", *models, "--many", many, *architecture)
        label = f"seeds {', '.join(map(str, seeds))}"
        singles = scores(models, task.test, architecture)
        row = [label, " / ".join(f"{one.accuracy:.3f}" for one in singles)]
        together = dict(zip(merged, scores(list(merged.values()), task.test, architecture), strict=True))
        row += [score_text(one) for one in together.values()]
        found.add(MANY, ("networks", "each", *merged), row)
        mean, universe = together[WAYS["mean"]], together[WAYS["universe"]]
        found.want(f"MergeMany, {label}: accuracy", AT_LEAST, 0.95, mean.accuracy)
        found.want(f"C2M3, {label}: loss, against MergeMany", AT_MOST, mean.loss, universe.loss)


def hard_pairs(folder: Path, size: Size, found: Findings) -> None:
    """Match networks that were trained slowly, by weights, activations and gradients."""
    shop = Workshop(folder, size.width, size.epochs, size.images)
    task = shop.task("digits")
    architecture = shop.architecture(task)
    for seeds in size.pairs:
        a, b = (shop.network(task, Training(learning_rate=1e-4), seed) for seed in seeds)
        heights = {"naive": barrier(a, b, task.test, architecture, size.points)}
        for matching in MATCHINGS:
            data = [] if matching == "weights" else ["--data", task.train, "--samples", "1257"]
            given = ["--matching", matching, *data, "--emit", "aligned", *architecture]
            aligned = shop.merge("rebasin", a, b, *given)
            heights[matching] = barrier(a, aligned, task.test, architecture, size.points)
        label = f"adam 0.0001, seeds {seeds[0]} and {seeds[1]}"
        row = [label, *(f"{height:.3f}, {score_text(middle)}" for height, middle in heights.values())]
        found.add(HARD, ("pair", *heights), row)
        limit = heights["weights"][0]
        what = f"straight-through, {label}: barrier, against weight matching"
        found.want(what, AT_MOST, limit, heights["straight-through"][0])
