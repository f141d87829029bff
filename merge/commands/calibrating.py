"""What ``merge calibrate`` does once its flags are read: check, compute, say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..calibration.declared import FisherCalibration, GramCalibration
from ..calibration.storing import Store
from ..errors import UsageError
from ..options import Options
from ..progress import items_bar
from .show import say, say_json, warn

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..calibration.document import CalibrationDocument
    from ..calibration.facts import Facts
    from ..evaluation.candidate import Candidate
    from ..evaluation.locate import Location
    from ..evaluation.task import Settings


@dataclass(frozen=True)
class Request:
    """The flags as given."""

    kind: str
    options: Options
    model: str
    data: str
    out: Path
    dtype: str
    force: bool
    resume: bool
    architecture: str | None
    batch_size: int
    device: str
    seed: int
    json_: bool
    quiet: bool


def perform(request: Request) -> None:
    """Compute statistics, write them and print what they are.

    Raises:
        UsageError: Something about the request is wrong; whatever headers tell is said before anything runs.
        MergeError: The computation fails.
    """
    from ..calibration.data import read_data
    from ..evaluation.locate import locate

    started = time.monotonic()
    if isinstance(request.options, FisherCalibration):
        from ..calibration.fisher import check_options

        check_options(request.options)
    data, location = read_data(request.data), locate(request.model)
    _check_apart(request.out, location, request.data)
    store = Store(
        request.out,
        force=request.force,
        resume=request.resume,
        dtype=request.dtype,
        inputs=_files(location, request.data),
    )
    facts = _compute(request, data, location, store)
    document = _document(request, facts, store, time.monotonic() - started)
    for note in document["notes"]:
        say(f"note: {note}", request)
    say(_line(document), request)
    if request.json_:
        say_json(document)


def _check_apart(out: Path, location: Location, spec: str) -> None:
    """Refuse to write into a folder that is read: whatever reads it next would take the file for a part of it."""
    for path, what in ((_path(location), "model"), (Path(spec), "data")):
        if path.is_dir() and path.resolve() in out.resolve().parents:
            found = f"the statistics would lie in the folder of the {what}"
            raise UsageError(found, where=str(out), hint=f"write them outside of {path.resolve()}")


def _path(location: Location) -> Path:
    return Path(getattr(location, "path", location.name))


def _files(location: Location, spec: str) -> list[Path]:
    """Return the files that are read, as far as the command line names them."""
    named = [_path(location), Path(spec)]
    return [file for path in named for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()]


def _compute(request: Request, data: CalibrationData, location: Location, store: Store) -> Facts:
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings

    device = choose_device(request.device)
    total = cast(int, getattr(request.options, "samples"))  # noqa: B009 - both kinds have it
    try:
        with store, items_bar(total, request.kind, quiet=request.quiet or request.json_) as advance:
            settings = Settings(request.architecture, device, request.batch_size, request.seed, advance=advance)
            return _statistics(request, location.load(), data, settings, store)
    except KeyboardInterrupt:
        if store.is_resumable:
            warn("interrupted; --resume goes on from what was computed", request)
        raise


def _statistics(
    request: Request, candidate: Candidate, data: CalibrationData, settings: Settings, store: Store
) -> Facts:
    if isinstance(request.options, GramCalibration):
        from ..calibration.gram import compute_gram

        return compute_gram(candidate, data, request.options, settings, store)
    from ..calibration.fisher import compute_fisher

    options = cast(FisherCalibration, request.options)
    return compute_fisher(candidate, data, options, settings, store, _noting(store))


def _noting(store: Store) -> Callable[[str], None]:
    return store.notes.append


def _document(request: Request, facts: Facts, store: Store, seconds: float) -> CalibrationDocument:
    from ..checkpoints.header_file import read_header

    return {
        "out": str(request.out),
        "kind": facts.kind,
        "model": request.model,
        "content_id": facts.model,
        "tensors": len(read_header(request.out).tensors),
        "aliases": dict(facts.aliases),
        "layout": dict(facts.layout),
        "rows": dict(facts.rows),
        "data_use": facts.data_use,
        "about": dict(facts.about),
        "notes": [*store.notes, *facts.about.get("data", {}).get("notes", ())],
        "seconds": round(seconds, 3),
    }


def _line(document: CalibrationDocument) -> str:
    """Return the document in one line."""
    tensors, aliases = document["tensors"], len(document["aliases"])
    parts = [f"{tensors} tensors" + (f" for {tensors + aliases} parameters" if aliases else "")]
    parts += [_range(document["rows"])] if document["rows"] else []
    parts += [f"{document['seconds']:.1f} s"]
    reasons = _reasons(document["about"].get("left_out", {}))
    return f"{document['out']}: {', '.join(parts)}" + (f". Left out: {reasons}" if reasons else "")


def _reasons(left_out: dict[str, str]) -> str:
    """Return how many tensors were left out for each reason, the most frequent first, and one of them."""
    examples = {reason: name for name, reason in sorted(left_out.items(), reverse=True)}
    counts = Counter(left_out.values()).most_common()
    return ", ".join(f"{count} ({reason}) such as '{examples[reason]}'" for reason, count in counts)


def _range(rows: dict[str, int]) -> str:
    low, high = min(rows.values()), max(rows.values())
    return f"{high:,} rows" if low == high else f"{low:,} to {high:,} rows"
