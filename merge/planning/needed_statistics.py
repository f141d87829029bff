"""The statistics that a method needs of every model: opened, or refused where they do not belong."""

from __future__ import annotations

from ..errors import UsageError
from ..method import Method
from ..recipe import Merge, place_of
from ..registry import usable_methods
from .named import Opens

STATISTICS = {
    "fisher": "Fisher information",
    "gram": "Gram matrices",
    "coefficients": "learned coefficients",
    "joint": "what is known of both models together",
}


def bind_statistics(method: Method, merge: Merge, opener: Opens) -> tuple[int, ...]:
    """Open the statistics of every model; return nothing while some are still to be computed from data."""
    kind = method.statistics
    for number, model in enumerate(merge.models, start=1):
        where = model.where or merge.where
        other = next((name for name in model.statistics if name != kind or method.sequential), None)
        if other or (model.data and not kind):
            what = f"{method.name} takes no {other or 'data'}"
            raise UsageError(what, where=where, hint=_instead(method, other))
        if model.data and kind in model.statistics:
            what = f"model {number} has both {kind} and data, from which it would be computed"
            raise UsageError(what, where=where, hint="leave one of them out")
        if kind and kind not in model.statistics and not model.data:
            wanted = "--data SPEC" if method.sequential else f"--{kind} FILE, or --data SPEC to compute it"
            noun = "data" if method.sequential else STATISTICS[kind]
            raise UsageError(
                f"{method.name} needs {noun} of every model, and model {number} has none",
                where=where,
                hint=f"give {wanted}",
            )
    for name, value in merge.calibration.items():
        place = place_of(merge.calibration, name, merge.where)
        if not any(model.data for model in merge.models):
            what = f"'{name}' is for computing statistics, and none are computed"
            raise UsageError(what, where=place, hint="give data, or leave it out")
        method.calibration.declarations[name].check(value, place)
    if not kind or any(kind not in model.statistics for model in merge.models):
        return ()
    return tuple(opener.open_statistics(model, kind) for model in merge.models)


def _instead(method: Method, kind: str | None) -> str:
    """Return what to do where a method takes no statistics of this kind, or no data."""
    if method.sequential:
        return f"it computes its own: give --data, or merge by {method.merged_by} with the files"
    takers = [
        f"{one.name} does" for one in usable_methods()[0] if kind and one.statistics == kind and not one.sequential
    ]
    return f"leave it out; {', '.join(takers)}" if takers else "leave it out"
