"""Models whose units were brought into another order: how far that went, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..rows import Row
from ..values import number, numeric, percent
from .many_models import many_models

MOST_OPEN = 30  # rows of a table that is open from the start
TEXT = (
    "The units of a hidden layer may stand in any order. Those of the models here were matched to the units of another "
    "model, group by group; a group is all the axes that carry the same units. The cosine says how alike matched units "
    "are on average: of unrelated ones it is about 0, of equal ones 1."
)
HEADER = ["Model", "Group", "Units", "In place already", "Cosine of matched units"]


def alignment(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return how every aligned model was matched, and its groups."""
    found = report.get("alignments") or ()
    if not found:
        return []
    rows = [_group(row, name, group) for row in found for name, group in row["about"].get("groups", {}).items()]
    tables = [Table("Groups of units", HEADER, rows, folded=len(rows) > MOST_OPEN)] if rows else []
    text, blocks = _together(found)
    return [Section("Alignment", [TEXT, *text, *(_told(row, names) for row in found)], [*blocks, *tables])]


def _together(found: Sequence[Row]) -> tuple[list[str], list[Table | Plot]]:
    """Return what is said of three and more models together, each of which has it."""
    together = next((row["about"]["many"] for row in found if row["about"].get("many")), None)
    if together is None:
        return [], []
    text, blocks = many_models(together)
    return [text], blocks


def _told(row: Row, names: Names) -> str:
    about = row["about"]
    parts = [f"by {about['matching']}"] if "matching" in about else []
    parts += [f"{about['sweeps']} sweeps"] if "sweeps" in about else []
    if {"distance_before", "distance_after"} <= about.keys():
        before, after = (number(about[f"distance_{when}"]) for when in ("before", "after"))
        parts.append(f"distance of the weights {before} before and {after} after")
    parts += [_by_gradients(about["gradients"])] if about.get("gradients") else []
    parts += [f"seed {about['seeds']['seed']}"] if "seed" in about.get("seeds", {}) else []
    parts += [_proven(about["proof"])] if about.get("proof") else []
    parts += [] if about.get("converged", True) else ["not converged"]
    return f"{row['model'].capitalize()}: {', '.join(parts) or 'orders from a file'} ({names(row['file'])})."


def _by_gradients(found: Row) -> str:
    """Say how the loss halfway between the models fell, above the mean of their own losses."""
    as_it_is, by_weights, last = (number(found[name]) for name in ("as_it_is", "by_weights", "found"))
    how = f"{last} at step {found['step']} of {len(found['history'])}" if found["step"] else "no less by gradients"
    return f"loss halfway above that of both models {as_it_is} before, {by_weights} by weights, {how}"


def _proven(proof: Row) -> str:
    return f"groups proven: moving them at random changes the outputs by {proof['largest_difference']:.1e} at most"


def _group(row: Row, name: str, group: Row) -> list[Cell]:
    fixed = group.get("fixed")
    return [
        Cell(row["model"]),
        Cell(name),
        numeric(group.get("size")),
        numeric(fixed, None if fixed is None else percent(fixed)),
        numeric(group.get("cosine")),
    ]
