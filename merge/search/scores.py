"""Scores that outlive the process: a JSON line for every evaluation, keyed by the contents that it depends on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from .greedy import Score
from .line_file import LineFile

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark, Settings

WHOLE_FILE_BYTES = 2**28  # larger data files are told by size and time of change
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
                yield tuple(row["members"]), Score(*(row[one.name] for one in fields(Score)))
        except (KeyError, TypeError):
            continue


def context_of(benchmarks: Sequence[Benchmark], settings: Settings, *more: object) -> str:
    """Return a digest of everything besides the models that decides about a score."""
    facts = [*(_plain(benchmark) for benchmark in benchmarks), settings.model, settings.precision, settings.seed, *more]
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True, default=str).encode())


def _plain(value: Any) -> Any:
    """Return a benchmark as plain data, in which files stand for their contents."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.name != "where"}
    if isinstance(value, Path):
        return _digest(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(path: Path) -> str:
    """Return what stands for the contents of a file or folder, wherever it lies."""
    if path.is_dir():
        found = sorted((str(file.relative_to(path)), file.stat().st_size) for file in path.rglob("*") if file.is_file())
        return xxhash.xxh3_128_hexdigest(json.dumps(found).encode())
    if not path.is_file():
        return str(path)
    status = path.stat()
    if status.st_size > WHOLE_FILE_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}"
    return xxhash.xxh3_128_hexdigest(path.read_bytes())
