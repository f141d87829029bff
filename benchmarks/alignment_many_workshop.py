"""The networks and files of ``alignment_many.py``, and the commands that a user types to merge and score them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alignment_networks import Digits, Images, Perceptron, Training, digits
from alignment_pair import Score, trained
from safetensors.torch import save_file

from merge.cli import main
from merge.evaluation import evaluate

HIDDEN = 3
CLASS_FILE = """\
import torch
from alignment_networks import Perceptron


class Network(Perceptron):
    def __init__(self):
        super().__init__({width}, {hidden}, {classes})

    @staticmethod
    def example_inputs():
        return torch.zeros(2, 1, 8, 8)
"""


@dataclass(frozen=True)
class Task:
    """Some of the digits: its images, and the benchmark files of both splits, with labels from 0."""

    data: Digits
    train: str
    test: str


class Workshop:
    """Trains networks into a folder, and merges and scores them through the command line.

    Args:
        folder: For everything that is written.
        width: Units of every hidden layer.
        epochs: Most epochs of a training.
        images: Most training images; None: all.
    """

    def __init__(self, folder: Path, width: int = 512, epochs: int = 60, images: int | None = None) -> None:
        self._folder, self._width, self._epochs = folder, width, epochs
        self._digits = digits(images)
        self._outputs = 0

    def task(self, name: str, classes: Sequence[int] = range(10), **more: object) -> Task:
        """Write the images of some digits, and a benchmark file for each split.

        Args:
            name: Of the files.
            classes: Which digits; their labels are their places here.
            more: Further keys of the benchmark files.
        """
        some = Digits(*(_chosen(images, classes) for images in self._digits))
        arrays = {}
        for split, images in zip(("train", "test"), some, strict=True):
            arrays |= {f"{split}_images": images.pixels.numpy(), f"{split}_labels": images.labels.numpy()}
        np.savez(self._folder / f"{name}.npz", **arrays)
        files = [self._benchmark(name, split, more) for split in ("train", "test")]
        return Task(some, *files)

    def _benchmark(self, name: str, split: str, more: Mapping[str, object]) -> str:
        path = self._folder / f"{name}-{split}.yaml"
        data = {"path": f"{name}.npz", "split": split}
        path.write_text(json.dumps({"name": name, "kind": "classification", "data": data, **more}), encoding="utf-8")
        return str(path)

    def network(self, task: Task, training: Training, seed: int) -> str:
        """Train a network from a seed and return its file."""
        training = replace(training, epochs=min(training.epochs, self._epochs))
        classes = _count(task)
        state = trained(lambda: Perceptron(self._width, HIDDEN, classes), task.data, training, seed)
        path = self.out(f"{training.optimizer}-{training.learning_rate:g}-{seed}")
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        return path

    def architecture(self, task: Task) -> list[str]:
        """Return the flag that says what a task's networks are."""
        classes = _count(task)
        path = self._folder / f"network_{classes}.py"
        path.write_text(CLASS_FILE.format(width=self._width, hidden=HIDDEN, classes=classes), encoding="utf-8")
        return ["--model", f"{path}:Network"]

    def out(self, label: str = "out") -> str:
        """Return a file that is not there yet."""
        self._outputs += 1
        return str(self._folder / f"{label}-{self._outputs}.st")

    def merge(self, *words: str) -> str:
        """Run a merging command and return its output."""
        out = self.out(words[0])
        run(*words, "-o", out, "--no-fsync")
        return out


def _chosen(images: Images, classes: Sequence[int]) -> Images:
    """Return the images of some classes, with labels by their places."""
    places = {digit: place for place, digit in enumerate(classes)}
    kept = [place for place, label in enumerate(images.labels.tolist()) if label in places]
    labels = torch.tensor([places[label] for label in images.labels[kept].tolist()])
    return Images(images.pixels[kept], labels)


def _count(task: Task) -> int:
    return int(task.data.train.labels.max()) + 1


def scores(models: Sequence[str], benchmark: str, architecture: Sequence[str]) -> list[Score]:
    """Return loss and accuracy of every model."""
    found: dict[str, dict[str, float]] = {model: {} for model in models}
    for row in evaluate(models, [benchmark], model=architecture[1], device="cpu").results:
        found[row["model"]][row["metric"]] = row["value"]
    return [Score(found[model]["loss"], found[model]["accuracy"]) for model in models]


def run(*words: str) -> Any:
    """Run a command in this process and return what ``--json`` printed, if it was asked for.

    Raises:
        RuntimeError: It failed; it has said why.
    """
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main([*words, "--quiet"])
    if code != 0:
        raise RuntimeError(f"failed: merge {' '.join(words)}")
    return json.loads(printed.getvalue()) if "--json" in words else None


def barrier(a: str, b: str, benchmark: str, architecture: Sequence[str], points: int) -> tuple[float, Score]:
    """Return the barrier of the loss on the line between two models, and loss and accuracy halfway."""
    words = ["barrier", a, b, "--benchmark", benchmark, "--points", str(points), *architecture, "--json"]
    (curve,) = run(*words)["curves"]
    (height,) = (row["value"] for row in curve["barriers"] if (row["metric"], row["definition"]) == ("loss", "linear"))
    middle = curve["points"][points // 2]["metrics"]
    return height, Score(middle["loss"]["value"], middle["accuracy"]["value"])
