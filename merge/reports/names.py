"""Short names of models: of paths, as many last parts as tell them apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SEPARATORS = re.compile(r"[/\\]+")


class Names:
    """Turns the names of models as they were given into short ones, the same everywhere in a report.

    Args:
        models: All the names that occur.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._short = _shortest(list(models))

    def __call__(self, model: str) -> str:
        """Return the short name of a model; one that is not known stays as it is."""
        return self._short.get(model, model)


def _shortest(models: Sequence[str]) -> dict[str, str]:
    parts = {model: [part for part in SEPARATORS.split(model) if part] or [model] for model in models}
    for length in range(1, 1 + max(map(len, parts.values()), default=0)):
        short = {model: "/".join(found[-length:]) for model, found in parts.items()}
        if len(set(short.values())) == len(parts):
            return short
    return {model: model for model in models}  # such as `a` and `a//`


def names_of(report: Mapping[str, Any]) -> Names:
    """Collect the names of the models of a report."""
    rows = [row for key in ("results", "corruption", "weights") for row in report.get(key) or ()]
    rows += (report.get("greedy") or {}).get("members") or []
    rows += (report.get("learned") or {}).get("weights") or []
    rows += (report.get("coefficients") or {}).get("weights") or []
    found = [row["model"] for row in rows]
    found += [model.get("location") or model["name"] for model in report.get("models") or () if "name" in model]
    found += [model for layer in report.get("layers") or () for model in layer["norms"]]
    found += [report["barrier"][end] for end in ("a", "b")] if report.get("barrier") else []
    found += (report.get("barrier_matrix") or {}).get("models") or []
    return Names(dict.fromkeys(found))
