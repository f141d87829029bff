"""``merge demo --independent``: two models from different seeds, which cannot be averaged before they are aligned."""

from __future__ import annotations

import shlex
from pathlib import Path

from .run import BENCHMARK, check_empty, say
from .strangers import (
    NAMES,
    accuracy,
    average,
    one_thread,
    save_stranger,
    train_stranger,
    write_model_file,
)


def run_independent(directory: Path, *, seed: int = 0) -> None:
    """Train two networks of one architecture from different seeds, and say how to merge them.

    Training sees the 1257 training images only; the accuracies that are printed are those on the 540 held-out ones.

    Args:
        directory: Made if it is not there. Holds ``a.st``, ``b.st``, ``model.py`` and a configuration
            afterwards.
        seed: The networks' seeds are twice this one and the next.

    Raises:
        MergeError: The folder is not empty.
    """
    import torch

    from ..evaluation.data import load_digits
    from ..evaluation.networks.demo_folder import write_demo_configuration

    check_empty(directory)
    directory.mkdir(parents=True, exist_ok=True)
    network = write_model_file(directory)
    write_demo_configuration(directory)
    train, test = load_digits("train"), load_digits("test")
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    held_out = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    say(f"Training two networks of 3 x 512 units on {len(labels)} handwritten digits, from different seeds")
    models = []
    for number, name in enumerate(NAMES):
        with one_thread():
            models.append(train_stranger(network, images, labels, 2 * seed + number))
        save_stranger(models[-1], directory / name)
        say(f"  {directory / name}: {accuracy(models[-1], *held_out):.1%} of the held-out images are right")
    say(f"  their plain average: {accuracy(average(models, network), *held_out):.1%}, with far less certainty")
    say(_next(directory))


def _next(directory: Path) -> str:
    """Return what to run next, ready to be pasted."""
    a, b = (str(directory / name) for name in NAMES)
    merged, report = (str(directory / name) for name in ("out.st", "report"))
    command = ["rebasin", a, b, "--model", str(directory), "-o", merged]
    command += ["--report-benchmark", BENCHMARK, "--report", report]
    told = "Bring the units of b into the order of a and average both; the report shows the path before and after:"
    return f"\n{told}\n  {_line(command)}"


def _line(arguments: list[str]) -> str:
    return shlex.join(["merge", *arguments])
