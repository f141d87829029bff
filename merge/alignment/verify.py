"""Proof before use: whatever order the units are brought into, the model must compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import MergeError
from .groups import Group, Groups
from .trials import ChangedError, Trial, difference, parts
from .validation import check

if TYPE_CHECKING:
    from torch import Tensor

    from .derive.trace import Inputs
    from .trials import Outputs

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
    check_members(groups, places)
    try:
        return _proof(module, places, groups, run, seed, precision or "float32")
    except ChangedError as error:
        if precision is not None or callable(run) or error.change > ROUNDING:
            raise
        refusal = error
    try:
        return _proof(module, places, groups, run, seed, "float64")
    except MergeError:
        raise refusal from None


def _proof(
    module: Any,
    places: Mapping[str, Tensor],
    groups: Groups,
    run: Callable[[], Any] | Inputs,
    seed: int,
    precision: Precision,
) -> Proof:
    import torch

    from .derive.trace import evaluating
    from .perturbing import perturbed

    trial = Trial(places, groups, _runner(module, run, precision), seed, TOLERANCES[precision])
    with torch.no_grad(), evaluating(module), perturbed(module, seed, getattr(torch, precision)):
        trial.expected = _expected(trial.run, trial.tolerance)
        for names in parts(list(groups.groups), seed):
            trial.check(names)
    return Proof(trial.differences, trial.tolerance, precision, seed)


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


def _runner(module: Any, run: Callable[[], Any] | Inputs, precision: str) -> Callable[[], Outputs]:
    """Return what runs a module and gives its outputs as a sequence of tensors."""
    import torch

    from .derive.trace import forget, plain_attention, single

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(getattr(torch, precision)) if tensor.is_floating_point() else tensor

    def given() -> Outputs:
        if callable(run):
            found = run()
        elif isinstance(run, Mapping):
            found = module(**{name: cast(tensor) for name, tensor in run.items()})
        else:
            found = module(*map(cast, run))
        found = single(found)
        return [found] if isinstance(found, torch.Tensor) else list(found)

    def run_plainly() -> Outputs:
        forget(module)
        with plain_attention():
            return given()

    return run_plainly


def _expected(run: Callable[[], Outputs], tolerance: float) -> Outputs:
    """Return the outputs before anything moves. Raises MergeError when they prove nothing."""
    outputs = run()
    if not outputs or any(not bool(one.isfinite().all()) for one in outputs):
        raise MergeError("the model's outputs are not finite, so that nothing can be proven about groups")
    if any(float(one.abs().max()) == 0 for one in outputs):
        raise MergeError("the model's outputs are zero, so that nothing can be proven about groups")
    if difference(outputs, run()) > tolerance:
        raise MergeError("the model gives other outputs each time, so that nothing can be proven about groups")
    return outputs
