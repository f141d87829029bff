"""Scores that outlive the process: a JSON line for every evaluation, keyed by the contents that it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .greedy import Score
from .line_file import LineFile

VERSION = 1


class ScoreBook:
    """Scores of candidates, in memory and in a file to which every new one is added at once.

    Args:
        path: The file; made with the first score.
        context: Digest of the benchmark and of whatever else decides about a score besides the members.

    Raises:
        MergeError: The file holds something else, or cannot be written.
    """

    def __init__(self, path: Path, context: str) -> None:
        self._context = context
        self._file = LineFile(path, "scores", "scores", "--scores")
        self._file.check()
        self._known = dict(_read(self._file, context))
        self.reused = 0

    def score(self, members: Sequence[str], evaluate: Callable[[], Score]) -> Score:
        """Return the score of the average of these contents, from the file where it has it.

        Args:
            members: Content ids, in the order in which they are added up.
            evaluate: Finds the score otherwise.

        Raises:
            MergeError: The file cannot be written.
        """
        key = tuple(members)
        if key in self._known:
            self.reused += 1
            return self._known[key]
        found = self._known[key] = evaluate()
        self._file.append({"scores": VERSION, "context": self._context, "members": list(key), **asdict(found)})
        return found


def _read(file: LineFile, context: str) -> Iterable[tuple[tuple[str, ...], Score]]:
    """Yield the scores of a file that were found in the same context."""
    for row in file.read():
        try:
            if row["scores"] == VERSION and row["context"] == context:
                yield tuple(map(_text, row["members"])), _score(row)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _score(row: Mapping[str, Any]) -> Score:
    """Return the score in a line. Raises ValueError or TypeError where a damaged line holds no finite numbers."""
    score = Score(float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]), str(row["metric"]))
    if not all(map(math.isfinite, (score.value, score.low, score.high))):
        raise ValueError("no score")
    return score
