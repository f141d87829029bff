"""The demo from an empty folder to the report, through the same commands that a user types."""

from __future__ import annotations

import copy
import os
import shlex
import sys
from pathlib import Path

from ..errors import MergeError

BENCHMARK = "digits"


def run_demo(directory: Path, *, seed: int = 0) -> None:
    """Train ``base`` and ``tuned-1`` to ``tuned-3`` on the bundled digits, soup them, evaluate, write ``report``.

    Training sees the 1257 training images only; the 540 held-out images are used once, for the report.

    Args:
        directory: Made if it is not there.
        seed: First weights, order of the data, augmentation.

    Raises:
        MergeError: The folder is not empty, or one of the commands failed.
    """
    check_empty(directory)
    directory.mkdir(parents=True, exist_ok=True)
    base, *tuned = _train_all(directory, seed)
    soup, report = str(directory / "soup"), str(directory / "report")
    run_command(["soup", *tuned, "-o", soup])
    run_command(["eval", base, *tuned, soup, "--benchmark", BENCHMARK, "--report", report])
    say("\nThe models lie beside the folder of the report.")


def run_command(arguments: list[str]) -> None:
    """Print a command as one would type it, then run it in this process.

    Raises:
        MergeError: The command failed; it has said why.
    """
    from ..cli import main

    line = shlex.join(["merge", *arguments])
    say(f"\n$ {line}")
    if main(arguments) != 0:
        raise MergeError("a command of the demo failed, see above", where=line)


def check_empty(directory: Path) -> None:
    """Refuse a folder that holds something. Raises MergeError."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        hint = "name another with: merge demo DIR"
        raise MergeError("the demo needs a new or empty folder", where=os.fspath(directory), hint=hint)


def _train_all(directory: Path, seed: int) -> list[str]:
    import torch

    from ..evaluation.data import load_digits
    from .training import BASE, TUNED, new_model, save, train

    data = load_digits("train")
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    folders = [str(directory / name) for name in ("base", *TUNED)]
    say(f"Training a small vision transformer on {len(labels)} handwritten digits: {folders[0]}")
    base = new_model(seed)
    train(base, images, labels, BASE, seed=seed)
    save(base, folders[0])
    for index, (folder, schedule) in enumerate(zip(folders[1:], TUNED.values(), strict=True), start=1):
        say(f"Tuning it with {schedule.describe()}: {folder}")
        model = copy.deepcopy(base)
        train(model, images, labels, schedule, seed=seed + index)
        save(model, folder)
    return folders


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
