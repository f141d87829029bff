"""The models of one seed on disk, and what the command line makes of them: statistics, merges, accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from digit_experts import BASE
from digit_tasks import Task

from merge.cli import main
from merge.evaluation import evaluate

CHUNK = 12  # models that one evaluation holds in memory


class Workshop:
    """Merges experts through the commands that a user types.

    Args:
        folder: For everything that is written.
        tasks: By name.
        models: Folders of the base and of the experts.
        seed: Of what is drawn for calibration.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task], models: Mapping[str, str], seed: int) -> None:
        self.models = models
        self._folder, self._tasks, self._seed = folder, tasks, seed
        self._statistics: dict[tuple[str, str, int], str] = {}
        self._merges = 0

    def merge(self, chosen: Sequence[str], method: str, *flags: str) -> str:
        """Merge the experts of some tasks and return the folder of the outcome."""
        self._merges += 1
        out = str(self._folder / f"merged-{self._merges}")
        run(method, *(self.models[task] for task in chosen), *flags, "-o", out, "--no-fsync")
        return out

    def base(self) -> list[str]:
        """Return the flags that name the base."""
        return ["--base", self.models[BASE]]

    def data(self, chosen: Sequence[str], samples: int) -> list[str]:
        """Return the flags that name each task's training images, which have no labels."""
        named = [word for task in chosen for word in ("--data", self._tasks[task].files["train"])]
        return [*named, "--samples", str(samples), "--seed", str(self._seed)]

    def statistics(self, kind: str, chosen: Sequence[str], samples: int) -> list[str]:
        """Return the flags that name each expert's statistics, computed where they are not there yet.

        Args:
            kind: ``fisher`` or ``gram``.
            chosen: The tasks.
            samples: Images drawn at random for each.
        """
        return [word for task in chosen for word in (f"--{kind}", self._statistics_file(kind, task, samples))]

    def accuracies(self, models: Sequence[str], chosen: Sequence[str], split: str) -> list[float]:
        """Return the mean accuracy of each model over some tasks."""
        found: dict[str, list[float]] = {model: [] for model in models}
        files = [self._tasks[task].files[split] for task in chosen]
        for first in range(0, len(models), CHUNK):
            for row in evaluate(models[first : first + CHUNK], files, device="cpu").results:
                if row["metric"] == "accuracy":
                    found[row["model"]].append(row["value"])
        return [sum(values) / len(chosen) for values in found.values()]

    def _statistics_file(self, kind: str, task: str, samples: int) -> str:
        key = kind, task, samples
        if key not in self._statistics:
            out = str(self._folder / f"{task}-{kind}-{samples}.safetensors")
            data = self.data([task], samples)
            run("calibrate", kind, self.models[task], *data, "--draw", "random", "-o", out)
            self._statistics[key] = out
        return self._statistics[key]


def run(*arguments: str) -> None:
    """Run a command in this process.

    Raises:
        RuntimeError: It failed; it has said why.
    """
    if main([*arguments, "--quiet"]) != 0:
        raise RuntimeError(f"failed: merge {' '.join(arguments)}")
