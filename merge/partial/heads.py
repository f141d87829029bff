"""The outputs of two models: averaged where they mean the same, else the first model's before the second's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError

if TYPE_CHECKING:
    from ..alignment.groups import Groups
    from .joint_file import Joint
    from .widths import Shape, Shapes

HEADS = ("auto", "merged", "apart")
NOT_ALIKE = "PLeaS merges models of one architecture, whose label spaces alone may differ"


def output_axes(groups: Groups, reads: Mapping[str, int]) -> dict[str, int]:
    """Return the axes that hold a model's outputs, by tensor, as far as its groups were traced.

    None at all where something in the model reads them again, so that they cannot lie side by side.

    Args:
        groups: Of the model.
        reads: The axis that each matrix is multiplied on.
    """
    from ..alignment.derive.walk import OUTPUTS

    found: dict[str, int] = {}
    for place, reason in groups.pinned.items():
        tensor, _, axis = place.rpartition(":")
        if reason == OUTPUTS and axis.isdecimal():
            if reads.get(tensor) == int(axis) or tensor in found:
                return {}
            found[tensor] = int(axis)
    return found


def choose_heads(joint: Joint, first: Shapes, second: Shapes, wanted: str, where: str) -> dict[str, int]:
    """Return the axes on which the models' outputs lie side by side; none where they are averaged.

    Args:
        joint: What is known of the two models.
        first: Shapes of the first model's floating tensors.
        second: Of the second's.
        wanted: ``merged``, ``apart``, or ``auto``: apart where the models have outputs of other numbers.
        where: The second model, for messages.

    Raises:
        UsageError: The outputs differ in number and are to be averaged, or nothing tells which they are.
        MergeError: The models differ elsewhere.
    """
    _check_names(first, second, where)
    misfits = {name: _misfit(name, first[name], second[name], where) for name in first if first[name] != second[name]}
    for name, axis in misfits.items():
        _check_misfit(name, axis, len(first[name]), joint, where)
    if wanted == "merged" and misfits:
        name, axis = next(iter(misfits.items()))
        what = f"'{name}' has {second[name][axis]} outputs, and {first[name][axis]} in the first model"
        raise UsageError(what, where=where, hint="other label spaces cannot be averaged: leave the heads apart")
    if wanted == "apart" and not joint.outputs and not misfits:
        hint = "let the groups be traced rather than read from a file"
        raise UsageError("nothing tells which axes hold the models' outputs", where=where, hint=hint)
    return {**joint.outputs, **misfits} if misfits or wanted == "apart" else {}


def _check_names(first: Collection[str], second: Collection[str], where: str) -> None:
    lacking = [name for name in first if name not in second]
    if lacking:
        raise MergeError(f"has no tensor '{lacking[0]}', which the first model has", where=where, hint=NOT_ALIKE)
    surplus = [name for name in second if name not in first]
    if surplus:
        raise MergeError(f"has a tensor '{surplus[0]}', which the first model lacks", where=where, hint=NOT_ALIKE)


def _misfit(name: str, first: Shape, second: Shape, where: str) -> int:
    """Return the one axis on which a tensor's shapes differ."""
    axes = [axis for axis, (one, other) in enumerate(zip(first, second, strict=False)) if one != other]
    if len(first) != len(second) or len(axes) != 1:
        what = f"'{name}' is {list(second)}, and {list(first)} in the first model"
        raise MergeError(what, where=where, hint=NOT_ALIKE)
    return axes[0]


def _check_misfit(name: str, axis: int, rank: int, joint: Joint, where: str) -> None:
    """Refuse models of which another axis than the outputs' has another length."""
    if joint.outputs:
        is_output = joint.outputs.get(name) == axis
    else:  # nothing was traced: what is neither read nor carries units can be nothing else
        units = {(member.tensor, member.axis) for group in joint.groups.groups.values() for member in group.members}
        is_written = name in joint.reads and joint.reads[name] != axis
        is_output = (name, axis) not in units and (is_written or rank == 1)
    if not is_output:
        what = f"'{name}' has another length on axis {axis}, which holds no outputs"
        raise MergeError(what, where=where, hint=NOT_ALIKE)
