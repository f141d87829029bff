"""Task vectors scaled by learned coefficients (aTLAS, AdaMerging), beside one scale for all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_many_tables import AT_LEAST, Findings, Size
from alignment_many_workshop import run
from digit_experts import BASE, make_models
from digit_tasks import Task, make_tasks

from merge.demo.training import Schedule
from merge.evaluation import evaluate

PAIRS = (("plain", "rotated"), ("rotated", "inverted"))
LEARNED = "Scaled task vectors: mean accuracy over the two tasks, validation ▸ test"
COLUMNS = ("task vectors", "way", "the base", "best scale for all", "best epoch", "what is chosen", "chosen")
HELD_OUT, EPOCHS = ("--held-out", "0.4", "--batch", "32"), ("--epochs", "20")
WAYS: Mapping[str, Sequence[str]] = {
    "aTLAS, one part": ("--partitions", "1", *HELD_OUT),
    "aTLAS, 4 parts": ("--partitions", "4", *HELD_OUT),
    "AdaMerging, task-wise": ("--preset", "task-wise-adamerging"),
    "AdaMerging, layer-wise": ("--preset", "layer-wise-adamerging"),
}


def scaled(folder: Path, size: Size, found: Findings) -> None:
    """Learn coefficients of two task vectors, for every seed."""
    base, expert = (Schedule(1, 3e-3), Schedule(1, 1e-3)) if size.quick else (Schedule(20, 3e-3), Schedule(10, 1e-3))
    for seed in size.seeds:
        place = folder / str(seed)
        place.mkdir()
        tasks = make_tasks(place)
        tasks = {name: tasks[name] for name in dict.fromkeys(name for pair in PAIRS for name in pair)}
        models = make_models(tasks, place, seed, base, expert)
        for pair in PAIRS[:1] if size.quick else PAIRS:
            for way, given in WAYS.items():
                length = ("--steps", "2") if size.quick else EPOCHS if "aTLAS" in way else ()
                out = str(place / f"{'-'.join(pair)}-{way.replace(' ', '-').replace(',', '')}")
                row = _scale([tasks[name] for name in pair], models, (*given, *length), out)
                label = f"{', '.join(pair)}, seed {seed}"
                found.add(LEARNED, COLUMNS, [label, way, *row.cells])
                what = f"{way}, {label}: validation accuracy, against the best scale for all"
                found.want(what, AT_LEAST, row.uniform, row.chosen)


class _Row:
    """What one learning came to."""

    def __init__(self, trials: Sequence[Mapping[str, Any]], best: str, tests: Mapping[str, float]) -> None:
        by_name = {trial["candidate"]: trial["score"] for trial in trials}
        self.uniform = max(score for name, score in by_name.items() if name.startswith("uniform"))
        self.chosen = by_name[best]
        epochs = max(score for name, score in by_name.items() if name.startswith("epoch"))
        known = {"base": by_name["zero"], "uniform": self.uniform, "chosen": self.chosen}
        texts = {name: f"{known[name]:.3f} ▸ {tests[name]:.3f}" for name in known}
        self.cells = [texts["base"], texts["uniform"], f"{epochs:.3f}", best, texts["chosen"]]


def _scale(pair: Sequence[Task], models: Mapping[str, str], given: Sequence[str], out: str) -> _Row:
    """Learn, write, and score on the held-out images, which nothing was chosen by."""
    experts, unlabeled = [models[task.name] for task in pair], "--preset" in given
    split = "train" if unlabeled else "validation"
    data = [word for task in pair for word in ("--data", task.files[split])]
    validation = ["--validation", ",".join(task.files["validation"] for task in pair)] if unlabeled else []
    words = ["atlas", models[BASE], "--task-vectors", ",".join(experts), *data, *validation, *given]
    document = run(*words, "--allow-base", "-o", out, "--no-fsync", "--json")
    learning = document["statistics"]["files"][0]["about"]["learning"]
    trials = learning["trials"]
    scales = {trial["candidate"]: trial["score"] for trial in trials if trial["candidate"].startswith("uniform")}
    scale = max(scales, key=lambda name: scales[name]).split()[1]
    uniform = f"{out}-uniform"
    run("task-arithmetic", *experts, "--base", models[BASE], "--scale", scale, "-o", uniform, "--no-fsync")
    tests = _accuracies({"base": models[BASE], "uniform": uniform, "chosen": out}, pair)
    return _Row(trials, learning["best"], tests)


def _accuracies(candidates: Mapping[str, str], pair: Sequence[Task]) -> dict[str, float]:
    rows = evaluate(list(candidates.values()), [task.files["test"] for task in pair], device="cpu").results
    found = {
        name: [row["value"] for row in rows if row["metric"] == "accuracy" and _same(row["model"], model)]
        for name, model in candidates.items()
    }
    return {name: sum(values) / len(values) for name, values in found.items()}


def _same(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)
