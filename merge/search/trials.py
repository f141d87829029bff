"""Trials of a search, and the file that keeps them: a JSON line for each, keyed by the contents that it depends on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import xxhash

from ..errors import MergeError
from ..evaluation.outcome import Measure
from ..provenance import describe
from ..recipe import Recipe
from .space import Values

VERSION = 1
START = '{"trials": '  # of every line


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
        self._known = dict(_read(path, context))

    def find(self, key: str) -> tuple[Measure, ...] | None:
        """Return the measures of a merge that was tried before."""
        return self._known.get(key)

    def keep(self, key: str, trial: Trial) -> None:
        """Add a trial. Raises MergeError when the file cannot be written."""
        self._known[key] = trial.measures
        row = {"trials": VERSION, "context": self._context, "merge": key, "number": trial.number}
        row |= {"values": trial.values, "measures": [asdict(measure) for measure in trial.measures]}
        try:
            with self.path.open("a+b") as stream:
                stream.write((b"\n" if _is_cut_off(stream) else b"") + json.dumps(row).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise MergeError(f"the trials cannot be kept: {error.strerror}", where=str(self.path)) from None


def merge_key(recipe: Recipe, identities: Mapping[str, str]) -> str:
    """Return what stands for a merge: its recipe with content ids in place of locations.

    Args:
        recipe: The recipe with all options filled in.
        identities: Content id of every model by its location in the recipe.
    """
    described = describe(recipe, lambda model: identities[str(model.model)])
    return xxhash.xxh3_128_hexdigest(json.dumps(described, sort_keys=True).encode())


def check_file(path: Path) -> None:
    """Refuse a file that could not be written after the first trial. Raises MergeError."""
    if not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MergeError("the trials cannot be kept there", where=str(path), hint="name another with --trials-file")


def _is_cut_off(stream: BinaryIO) -> bool:
    """Tell whether the last line of a file has no end, as a crash leaves it."""
    if not stream.seek(0, os.SEEK_END):
        return False
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) != b"\n"


def _read(path: Path, context: str) -> Iterator[tuple[str, tuple[Measure, ...]]]:
    """Yield what a file keeps of the same context; a line that was cut off is passed over."""
    if not path.exists():
        return
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise MergeError(f"the trials cannot be read: {error.strerror}", where=str(path)) from None
    if lines and not lines[0].startswith(START):
        hint = "name another one with --trials-file"
        raise MergeError("the file holds something else than trials", where=str(path), hint=hint)
    for line in lines:
        try:
            row = json.loads(line)
            if row["trials"] == VERSION and row["context"] == context:
                yield row["merge"], _measures(row["measures"])
        except (ValueError, KeyError, TypeError):
            continue


def _measures(rows: Sequence[Mapping[str, float]]) -> tuple[Measure, ...]:
    return tuple(Measure(**row) for row in rows)  # type: ignore[arg-type]
