"""A model with statistics from a file ▸ a plan that copies it bit for bit, save for what the statistics are of.

It is run, written, recorded and repeated as every merge is; the file is one of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from ..calibration.facts import IN_OUT, Facts
from ..checkpoints.checkpoint import OUR_KEY, FileCheckpoint
from ..checkpoints.header import TensorInfo
from ..checkpoints.resolve import open_checkpoint
from ..errors import MergeError, UsageError
from ..options import Options
from ..plan import Plan, make_copy_plan
from ..planning.adjustment import COMMANDS, MEASURED, MODEL, SCALED, STATISTICS, Adjustment
from ..planning.rows import Row
from ..program import Call, Input, Statistic
from ..recipe import Recipe
from .batch_norm_layers import COUNT, MEAN, VARIANCE
from .rescaling import Rescaling
from .wording import remarks_of, warnings_of

_REPLACED = (MEAN, VARIANCE, COUNT)


def make_untouched_plan(model: str, recipe: Recipe) -> Plan:
    """Plan a copy of a model, bit for bit.

    Args:
        model: The checkpoint.
        recipe: Its output and folder.

    Raises:
        MergeError: The model is no sound checkpoint.
    """
    plan = make_copy_plan(model, recipe)
    rows = [row._replace(reason="") for row in plan.rows]  # nothing is cast
    return replace(plan, rows=rows, again=partial(make_untouched_plan, model, recipe))


def make_adjusted_plan(command: str, model: str, statistics: str, recipe: Recipe) -> Plan:
    """Plan a copy of a model that is adjusted by a file of statistics.

    Args:
        command: ``bn-reset`` or ``repair``.
        model: The checkpoint.
        statistics: The file.
        recipe: Its output and folder.

    Raises:
        MergeError: The file is none of the model's.
        UsageError: It is of another kind, or something is not there.
    """
    plan = make_untouched_plan(model, recipe)
    try:
        opened = open_checkpoint(statistics, relative_to=recipe.folder)
        adjustment = Adjustment(command, _facts(command, opened), opened.location)
        _check(plan, opened, adjustment)
    except BaseException:
        plan.close()
        raise
    rows = list(_rows(plan.rows, opened, adjustment.facts))
    return replace(
        plan,
        recipe=replace(recipe, remarks=(*recipe.remarks, *remarks_of(adjustment, rows))),
        warnings=[*plan.warnings, *warnings_of(adjustment.facts)],
        sources=[*plan.sources, opened],
        roles=["model 1", f"{adjustment.facts.kind} statistics"],
        rows=rows,
        adjustment=adjustment,
        again=partial(make_adjusted_plan, command, model, statistics, recipe),
    )


def _facts(command: str, opened: FileCheckpoint) -> Facts:
    facts = Facts.from_metadata(opened.metadata, opened.location)
    if facts.kind != COMMANDS[command]:
        what = f"holds {facts.kind or 'no'} statistics, not {COMMANDS[command]}"
        raise UsageError(what, where=opened.location, hint=f"merge {command} … --data SPEC makes such a file")
    return facts


def _check(plan: Plan, opened: FileCheckpoint, adjustment: Adjustment) -> None:
    source = plan.sources[MODEL]
    if OUR_KEY in source.metadata:
        adjustment.check_model(source.metadata[OUR_KEY], source.location)
    for name, found in opened.tensors.items():
        known = source.tensors.get(name)
        if known is None or found.shape != _wanted(known, adjustment.facts):
            what = f"the statistics of '{name}' fit no tensor of {source.location}"
            raise MergeError(what, where=opened.location, hint="they are another model's")


def _wanted(known: TensorInfo, facts: Facts) -> tuple[int, ...]:
    """Return the shape that the statistics of a tensor must have."""
    if known.name.endswith(_REPLACED):
        return known.shape
    if len(known.shape) < 2:
        return (2, *known.shape)
    return (known.shape[-1] if facts.layout.get(known.name) == IN_OUT else known.shape[0],)


def _rows(rows: list[Row], opened: FileCheckpoint, facts: Facts) -> Iterator[Row]:
    """Yield the rows of the copy, with a second source; what is only hashed comes last."""
    checks = []
    for row in rows:
        found = opened.tensors.get(row.name)
        if found is None:
            yield row._replace(tensors=(*row.tensors, None))
            continue
        replaced = row.name.endswith(_REPLACED)
        yield _replaced(row, found) if replaced else _rescaled(row, found, facts)
        checks.append(_check_row(row.tensors[MODEL], MODEL) if replaced else _check_row(found, STATISTICS))
    yield from checks


def _replaced(row: Row, found: TensorInfo) -> Row:
    return row._replace(expression=Input(STATISTICS), tensors=(None, found), reason=MEASURED)


def _rescaled(row: Row, found: TensorInfo, facts: Facts) -> Row:
    statistic, layout = (Statistic(STATISTICS, aligned=False),), facts.layout.get(row.name, "")
    call = Call("repair", Rescaling(), Options(), (Input(MODEL),), statistics=statistic, layout=layout)
    return row._replace(
        action="merge",
        expression=call,
        tensors=(*row.tensors, None),
        reason=SCALED,
        asides=((STATISTICS, found),),
    )


def _check_row(tensor: TensorInfo | None, source: int) -> Row:
    assert tensor is not None  # noqa: S101 - rows of a copy have their tensor
    tensors = (tensor, None) if source == MODEL else (None, tensor)
    return Row(tensor.name, tensor.dtype, tensor.shape, "check", None, tensors)
