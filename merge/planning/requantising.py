"""Rows whose outcome is written as the base has it: as 8-bit floats with new scales, in the layout of the old ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..checkpoints.beside import AS_IT_IS, Beside
from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..checkpoints.scaled import ScaledCheckpoint, beside_scaled, scaled_below
from ..checkpoints.scaled_layout import Scaled, is_marker
from ..method import WeightedSum
from ..program import Call, Expression, Input
from ..recipe import Output
from .layout import Order, by_alignment, lay_out
from .reference import Reference
from .rows import Row, Scales, Skip
from .scale_layouts import inputs_of, scaled_of, why_without

if TYPE_CHECKING:
    from ..plan import Plan

_TWICE = "which takes twice the room"
_AGAIN = "stay 8-bit floats with scales, computed anew where they are merged; --dtype bfloat16 writes them without"


class Requantised(NamedTuple):
    """Rows with their scales, and what that changes.

    Attributes:
        rows: All of them.
        skips: Marks of quantised weights that an output without scales does not have.
        order: Place of every stored name, where there are scales.
        beside: What becomes of config.json.
        notes: What was decided.
    """

    rows: list[Row]
    skips: Sequence[Skip] = ()
    order: Order | None = None
    beside: Beside = AS_IT_IS
    notes: Sequence[str] = ()


def requantise(rows: list[Row], reference: Reference, opened: Sequence[Source], output: Output) -> Requantised:
    """Give rows their scales where the base, or else the first model, has some, and the user names no other type.

    Args:
        rows: The ledger's.
        reference: What decides about the output's types.
        opened: The sources.
        output: Its type, where the user names one, and where it is written.
    """
    below = [scaled_below(source) for source in opened]
    decides = below[reference.position]
    if decides is None:
        return Requantised(rows)
    note = [f"the output is without scales, {_TWICE}"]
    if output.dtype is not None:
        return _plain(rows, opened, reference, note)
    reason = why_without(rows, reference, below, output)
    if reason is not None:
        return _plain(rows, opened, reference, [f"{reason}: {note[0]}"])
    found = [_with_scales(row, reference, below) for row in rows]
    count = sum(row.scales is not None for row in found)
    order = {name: place for place, name in enumerate(decides.source.tensors)}
    return Requantised(found, (), order, AS_IT_IS, [f"{count:,} weights {_AGAIN}"])


def _with_scales(row: Row, reference: Reference, below: Sequence[ScaledCheckpoint | None]) -> Row:
    """Return a row whose outcome is written as its original is; as it is where that has no scales."""
    scaled = scaled_of(row, reference, below)
    if scaled is None:
        return row
    dtype, shape = scaled.scale.dtype, scaled.scale.shape
    scales = Scales(_scale_name(row.name, scaled), dtype, shape, scaled.block, scaled.power_of_two)
    expression = copied(row.expression)
    if expression is not row.expression:
        row = row._replace(expression=expression, action="copy", reason="taken as it is")
    return row._replace(dtype=scaled.weight.dtype, scales=scales)


def _scale_name(name: str, scaled: Scaled) -> str:
    """Return the name of a scale beside a weight of this name, as the stored one has it beside its own."""
    weight, scale = scaled.weight.name, scaled.scale.name
    if scale.startswith(weight):
        return name + scale.removeprefix(weight)
    return ".".join(filter(None, (name.rpartition(".")[0], scale.rpartition(".")[2])))


def copied(expression: Expression | None) -> Expression | None:
    """Return the input that a sum of one model with the factor 1 passes on; any other expression as it is."""
    if not isinstance(expression, Call) or not isinstance(expression.method, WeightedSum):
        return expression
    asks = expression.method.uses_place or expression.reductions  # what is not known yet
    if expression.base is not None or len(expression.inputs) != 1 or asks:
        return expression
    inner = expression.inputs[0]
    factors = expression.method.coefficients(expression.options, cast(Any, None))
    return inner if isinstance(inner, Input) and math.isclose(factors[0], 1, rel_tol=1e-12) else expression


def _plain(rows: list[Row], opened: Sequence[Source], reference: Reference, notes: Sequence[str]) -> Requantised:
    """Return the rows of an output without scales; what marks quantised weights is only read."""
    marks = [row for row in rows if row.action != "check" and is_marker(row.name)]
    kept = [row for row in rows if row.action == "check" or not is_marker(row.name)]
    read = [place for row in marks for place in inputs_of(row)]
    skips = [Skip(source, info.name, "marks weights with scales") for source, info in read]
    checks = [Row(*place[1][:3], "check", None, _alone(place, len(opened))) for place in read]
    return Requantised([*kept, *checks], skips, None, beside_scaled(opened[reference.position]), notes)


def _alone(place: tuple[int, TensorInfo], count: int) -> tuple[TensorInfo | None, ...]:
    return tuple(place[1] if source == place[0] else None for source in range(count))


def without_scales(plan: Plan) -> Plan:
    """Return a plan whose outcome has no scales, as a network in memory is built from it."""
    if not any(row.scales for row in plan.rows):
        return plan
    dtype = cast(ScaledCheckpoint, scaled_below(plan.sources[plan.reference])).dtype
    rows = [row._replace(dtype=dtype, scales=None) if row.scales else row for row in plan.rows]
    written = [row for row in rows if row.action != "check"]
    placed, files = lay_out(by_alignment(written), plan.recipe.output, plan.files[0].name)
    return replace(plan, rows=placed + [row for row in rows if row.action == "check"], files=files)
