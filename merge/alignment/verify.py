"""Proof before use: whatever order the units are brought into, the model must compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..errors import MergeError
from .groups import Group, Groups
from .running import expected_outputs, runner
from .trials import ChangedError, Trial, parts
from .validation import check

if TYPE_CHECKING:
    from torch import Tensor

    from .derive.trace import Inputs
    from .permutations import Orders

    Precision = Literal["float32", "float64"]

TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
ROUNDING = 1e-2  # the most that rounding in float32 is thought to do to outputs


@dataclass(frozen=True)
class Proof:
    """What was tried, and how much the outputs changed.

    Attributes:
        differences: Largest difference of the outputs, divided by the largest output, by the groups that were moved.
        tolerance: What is allowed.
        precision: Type that the model computed in.
        seed: Of the orders.
    """

    differences: Mapping[tuple[str, ...], float]
    tolerance: float
    precision: str
    seed: int

    @property
    def largest(self) -> float:
        """The largest difference of all."""
        return max(self.differences.values(), default=0.0)


def verify_groups(
    module: Any,
    places: Mapping[str, Tensor],
    groups: Groups,
    run: Callable[[], Any] | Inputs,
    seed: int = 0,
    precision: Precision | None = None,
) -> Proof:
    """Reorder the units of every group at random, singly and all at once, and see that the outputs stay the same.

    With more than 32 groups, random parts of them are moved at once, and halved where the outputs change. The weights
    are changed first, so that what is zero or one everywhere hides nothing; in the end they are as they were.

    Args:
        module: A torch module; it runs in evaluation mode.
        places: Its parameters and buffers by the names that the groups call them by.
        groups: What is to be proven.
        run: Runs it and gives a tensor or several; or its inputs, by argument name or in order.
        seed: Of the orders and of the changed weights.
        precision: What to compute in. By default ``float32``, and what looks like rounding there, as in deep networks,
            is tried again in ``float64``.

    Returns:
        The proof.

    Raises:
        MergeError: A group changes the outputs (named), does not fit the tensors, or moves one that the model lacks;
            or nothing can be proven since the outputs are not finite, all zero, or never the same.
    """
    return _proven(module, Trial(places, groups, list, seed, 0), run, precision, parts(list(groups.groups), seed))


def verify_orders(
    module: Any,
    places: Mapping[str, Tensor],
    groups: Groups,
    orders: Orders,
    run: Callable[[], Any] | Inputs,
    seed: int = 0,
    precision: Precision | None = None,
) -> Proof:
    """Bring the units of a model into given orders, all at once, and see that the outputs stay the same.

    Where they do not, the groups that change them are sought. As in `verify_groups`, the weights are changed first.

    Args:
        module: A torch module; it runs in evaluation mode.
        places: Its parameters and buffers by the names that the groups call them by.
        groups: What the orders belong to.
        orders: By group; a group that is absent stays as it is.
        run: As for `verify_groups`.
        seed: Of the changed weights.
        precision: As for `verify_groups`.

    Returns:
        The proof.

    Raises:
        MergeError: As `verify_groups`.
    """
    trial = Trial(places, groups, list, seed, 0, orders)
    return _proven(module, trial, run, precision, [[name for name in groups.groups if name in orders]])


def _proven(
    module: Any,
    trial: Trial,
    run: Callable[[], Any] | Inputs,
    precision: Precision | None,
    trials: Sequence[Sequence[str]],
) -> Proof:
    """Try in float32, and what looks like rounding there in float64, unless a precision is asked for."""
    check_members(trial.groups, trial.places)
    try:
        return _proof(module, trial, run, precision or "float32", trials)
    except ChangedError as error:
        if precision is not None or callable(run) or error.change > ROUNDING:
            raise
        refusal = error
    try:
        return _proof(module, trial, run, "float64", trials)
    except MergeError:
        raise refusal from None


def _proof(
    module: Any,
    trial: Trial,
    run: Callable[[], Any] | Inputs,
    precision: Precision,
    trials: Sequence[Sequence[str]],
) -> Proof:
    import torch

    from .derive.trace import evaluating
    from .perturbing import perturbed

    trial = replace(trial, run=runner(module, run, precision), tolerance=TOLERANCES[precision], differences={})
    with torch.no_grad(), evaluating(module), perturbed(module, trial.seed, getattr(torch, precision)):
        trial.expected = expected_outputs(trial.run, trial.tolerance)
        for names in trials:
            trial.check(names)
    return Proof(trial.differences, trial.tolerance, precision, trial.seed)


def check_members(groups: Groups, places: Mapping[str, Tensor]) -> None:
    """Refuse groups that do not fit a model's tensors.

    Raises:
        UsageError: They do not fit the shapes, or contradict each other.
        MergeError: The model lacks a tensor, or one that it knows by two names moves under one of them.
    """
    members = [(group.name, member) for group in groups.groups.values() for member in group.members]
    for name, member in members:
        if member.tensor not in places:
            hint = "it is renamed, put together or not used when the model is built"
            raise MergeError(f"group '{name}' moves '{member.tensor}', which the model lacks", hint=hint)
    check(groups, {name: tuple(tensor.shape) for name, tensor in places.items()})
    names: dict[int, list[str]] = {}
    for name, tensor in places.items():
        names.setdefault(id(tensor), []).append(name)
    for group in groups.groups.values():
        _check_tied(group, places, names)


def _check_tied(group: Group, places: Mapping[str, Tensor], names: Mapping[int, list[str]]) -> None:
    """Refuse a group that moves a tensor under one of its names only."""
    moved = {(member.tensor, member.axis, member.offset, member.sizes, member.factor) for member in group.members}
    for tensor, *how in moved:
        for other in names[id(places[tensor])]:
            if (other, *how) not in moved:
                what = f"group '{group.name}' moves '{tensor}' but not '{other}', which is the same tensor"
                raise MergeError(what, hint="both names must be members, or neither")
