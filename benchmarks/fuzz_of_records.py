"""Targets: what the tool keeps for itself: unfinished statistics, scores, trials, rates, locks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fuzz_forms import HEADER, JSON, LINES, metadata
from fuzz_target import Target, write_json


def _partial(folder: Path) -> None:
    import torch

    from merge.calibration.partial import write_partial

    write_partial(folder / "journal", {"a": torch.ones(2)}, {"items": 2, "rows": {"b": 7}}, '{"model": "x"}')


def _read_partial(folder: Path) -> None:
    from merge.calibration.partial import read_partial, why_another

    begun, fingerprint = read_partial(folder / "journal")
    if not why_another(fingerprint, '{"model": "x"}'):
        f"{begun.notes['items']:,}"


def _scores(folder: Path) -> None:
    row = {"scores": 1, "context": "c", "members": ["m", "n"], "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    rows = [row | {"metric": "accuracy"}, row | {"metric": "accuracy", "members": ["m"]}]
    (folder / "scores.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def _read_scores(folder: Path) -> None:
    from merge.search.scores import ScoreBook

    def none() -> Any:
        raise AssertionError

    book = ScoreBook(Path("scores.jsonl"), "c")
    for key in list(book._known):
        book.score(key, none)


def _trials(folder: Path) -> None:
    measure = {"benchmark": "d", "metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    row = {"trials": 1, "context": "c", "merge": "k", "number": 3, "values": {"scale": 0.5}, "measures": [measure]}
    (folder / "trials.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"merge": "l"}) + "\n")


def _read_trials(folder: Path) -> None:
    from merge.search.trials import TrialBook

    for measure in TrialBook(Path("trials.jsonl"), "c").find("k") or ():
        f"{measure.value:.3f}"


def _rates(folder: Path) -> None:
    write_json(folder / "rates.json", {"version": 1, "runs": {"read": [[10, 0.5], [20, 1.0]], "sum": [[5, 0.1]]}})


def _read_rates(folder: Path) -> None:
    from merge.estimate.rates import read_rates

    os.environ["MERGE_RATES"] = str(folder / "rates.json")
    found = read_rates()
    for kind in ("read", "sum", "none"):
        found.of(kind)


def _lock(folder: Path) -> None:
    write_json(folder / "lock.json", {"host": "h", "pid": 999999, "boot": "b", "processes": "p", "token": "t"})


def _read_lock(folder: Path) -> None:
    from merge.checkpoints.remote.writing.lock import _has_ended, _read, _this_process

    found = _read((folder / "lock.json").read_bytes())
    _has_ended(found)
    _has_ended(_this_process() | {"pid": found.get("pid")})


RECORDS = (
    Target("partial-statistics", "journal", HEADER, _partial, _read_partial),
    Target("partial-notes", "journal", metadata("notes"), _partial, _read_partial),
    Target("scores", "scores.jsonl", LINES, _scores, _read_scores),
    Target("trials", "trials.jsonl", LINES, _trials, _read_trials),
    Target("rates", "rates.json", JSON, _rates, _read_rates),
    Target("lock", "lock.json", JSON, _lock, _read_lock),
)
