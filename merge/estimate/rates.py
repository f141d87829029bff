"""Rates that merges measured on this machine, in a small file in the user's cache folder.

Nothing here ever fails: a file that is broken or cannot be written is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "MERGE_RATES"
OFF = frozenset({"", "0", "no", "off"})
LAST = 9  # runs that count; their median is the rate, so that a few odd ones change nothing
_VERSION = 1
_LARGEST_FILE = 2**20  # bytes; ours is a few kilobytes, and a larger file is somebody's who named it by mistake
_MOST_KINDS = 500  # beyond these, those that were measured longest ago are forgotten
_MOST_BYTES, _LEAST_SECONDS, _MOST_SECONDS = 2**63, 1e-6, 1e9  # what lies outside was not measured


class Sample(NamedTuple):
    """What one merge measured: so many bytes of this kind of work in so many seconds."""

    kind: str
    nbytes: int
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Whether a rate follows from it."""
        return 0 < self.nbytes < _MOST_BYTES and _LEAST_SECONDS <= self.seconds <= _MOST_SECONDS


class Rates:
    """What was measured so far.

    Args:
        runs: By kind of work, the last samples, the newest at the end.
    """

    def __init__(self, runs: Mapping[str, list[Sample]]) -> None:
        self._runs = dict(runs)

    def of(self, kind: str) -> float | None:
        """Return the median of the last rates of a kind, in bytes per second; None where nothing was measured."""
        found = sorted(sample.nbytes / sample.seconds for sample in self._runs.get(kind, ())[-LAST:])
        middle = found[(len(found) - 1) // 2 : len(found) // 2 + 1]  # without a module that every dry run would import
        return sum(middle) / len(middle) if middle else None

    def runs(self, kind: str) -> int:
        """Return of how many merges a rate is the median."""
        return len(self._runs.get(kind, ())[-LAST:])

    def __or__(self, samples: Iterable[Sample]) -> Rates:
        """Return these and the samples of one more merge."""
        runs = dict(self._runs)
        for sample in samples:
            if sample.is_sound:
                runs[sample.kind] = [*runs.pop(sample.kind, ()), sample][-LAST:]  # the newest kinds at the end
        return Rates(runs)

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of them."""
        runs = {
            kind: [[each.nbytes, round(each.seconds, 6)] for each in found]
            for kind, found in list(self._runs.items())[-_MOST_KINDS:]
        }
        return {"version": _VERSION, "about": "bytes and seconds of the last merges, by kind of work", "runs": runs}


def rates_path() -> Path | None:
    """Return where rates are kept; None where `MERGE_RATES` says that none are, or the user has no home."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return None if given.lower() in OFF else Path(given)
    try:
        return _cache_folder() / "merge" / "rates.json"
    except RuntimeError:
        return None


def _cache_folder() -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path("~").expanduser() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def read_rates() -> Rates:
    """Return what was measured on this machine so far."""
    path = rates_path()
    try:
        if path is None or not path.is_file() or path.stat().st_size > _LARGEST_FILE:
            return Rates({})
        return Rates(_parsed(json.loads(path.read_bytes())))
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError):
        return Rates({})


def _parsed(found: Any) -> dict[str, list[Sample]]:
    """Return the sound samples of a file's content; of another version's, nothing."""
    if not isinstance(found, dict) or found.get("version") != _VERSION or not isinstance(found.get("runs"), dict):
        return {}
    runs = {kind: [_sample(kind, each) for each in given] for kind, given in found["runs"].items()}
    return {kind: [each for each in samples if each.is_sound] for kind, samples in runs.items()}


def _sample(kind: str, given: Any) -> Sample:
    nbytes, seconds = given
    return Sample(kind, int(nbytes), float(seconds))


def add_samples(samples: Iterable[Sample]) -> None:
    """Keep what one more merge measured; where two merges end at once, one of them may be forgotten."""
    path, found = rates_path(), list(samples)
    if path is None or not found:
        return
    text = json.dumps((read_rates() | found).as_json(), indent=1)
    with contextlib.suppress(OSError, ValueError):
        if path.exists() and not (path.is_file() and path.stat().st_size <= _LARGEST_FILE):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    import tempfile

    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
