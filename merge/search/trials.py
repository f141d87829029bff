"""Trials of a search, and the file that keeps them: a JSON line for each, keyed by the contents that it depends on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from ..evaluation.outcome import Measure
from ..provenance import describe
from ..recipe import Recipe, named
from .line_file import LineFile
from .space import Values

VERSION = 1


@dataclass(frozen=True)
class Trial:
    """Options that were tried, and what came of it.

    Attributes:
        number: From 0, in the order in which the sampler asked.
        values: The options by name.
        measures: What counts on each benchmark, in their order; none where the trial failed.
        failure: Why there are none.
    """

    number: int
    values: Values
    measures: tuple[Measure, ...] = ()
    failure: str | None = None


class TrialBook:
    """Measures of trials, in memory and in a file to which every new one is added at once; failures are not kept.

    Args:
        path: The file; made with the first trial.
        context: Digest of the benchmarks and of whatever else decides about a score besides the merge itself.

    Raises:
        MergeError: The file holds something else, or cannot be read.
    """

    def __init__(self, path: Path, context: str) -> None:
        self.path, self._context = path, context
        self._file = trials_file(path)
        self._known = dict(_read(self._file, context))

    def find(self, key: str) -> tuple[Measure, ...] | None:
        """Return the measures of a merge that was tried before."""
        return self._known.get(key)

    def keep(self, key: str, trial: Trial) -> None:
        """Add a trial. Raises MergeError when the file cannot be written."""
        self._known[key] = trial.measures
        row = {"trials": VERSION, "context": self._context, "merge": key, "number": trial.number}
        row |= {"values": trial.values, "measures": [asdict(measure) for measure in trial.measures]}
        self._file.append(row)


def merge_key(recipe: Recipe, identities: Mapping[str, str]) -> str:
    """Return what stands for a merge: its recipe with content ids in place of locations.

    Args:
        recipe: The recipe with all options filled in.
        identities: Content id of every model, and of its statistics, by its location in the recipe.
    """
    described = describe(recipe, lambda model, kind: identities[named(model, kind)])
    return xxhash.xxh3_128_hexdigest(json.dumps(described, sort_keys=True).encode())


def trials_file(path: Path) -> LineFile:
    """Return the file that keeps trials."""
    return LineFile(path, "trials", "trials", "--trials-file")


def _read(file: LineFile, context: str) -> Iterator[tuple[str, tuple[Measure, ...]]]:
    """Yield what a file keeps of the same context."""
    for row in file.read():
        try:
            if row["trials"] == VERSION and row["context"] == context:
                yield str(row["merge"]), tuple(map(_measure, row["measures"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            continue


def _measure(row: Mapping[str, Any]) -> Measure:
    """Return what a line holds. Raises TypeError, ValueError or OverflowError where that is no measure."""
    return Measure(str(row["metric"]), float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]))
