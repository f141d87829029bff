"""A tuned model less its base as an ordinary plan, in float32, under the base's names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.checkpoint import Source
from ...checkpoints.header import TensorInfo
from ...errors import MergeError, UsageError
from ...plan import Plan, make_plan
from ...planning.bound import BoundCall
from ...planning.rows import Row
from ...planning.tensor_rules import is_buffer
from ...recipe import Merge, Model, Output, Recipe


@dataclass(frozen=True)
class Difference:
    """The plan, and which of its sources is which.

    Attributes:
        given: The tuned model under its own names.
        plan: Its rows of action ``merge`` have the difference as their outcome; all others are compared by digests.
    """

    plan: Plan
    base_position: int
    tuned_position: int
    given: Source

    @property
    def base(self) -> Source:
        """The base."""
        return self.plan.sources[self.base_position]

    @property
    def tuned(self) -> Source:
        """The tuned model."""
        return self.plan.sources[self.tuned_position]

    def of_base(self, row: Row) -> TensorInfo | None:
        """Return the base's tensor of a row."""
        return row.tensors[self.base_position]

    def of_tuned(self, row: Row) -> TensorInfo | None:
        """Return the tuned model's tensor of a row."""
        return row.tensors[self.tuned_position]

    def matched(self) -> dict[str, TensorInfo]:
        """Return the tuned model's tensors under the base's names."""
        pairs = ((row.name, self.of_tuned(row)) for row in self.plan.rows if row.action != "check")
        return {name: tensor for name, tensor in pairs if tensor is not None}

    def alone(self) -> dict[str, TensorInfo]:
        """Return the tensors that only the tuned model has."""
        skipped = (skip for skip in self.plan.skips if skip.source == self.tuned_position and skip.twin is None)
        found = (self.tuned.tensors[skip.name] for skip in skipped if skip.name in self.tuned.tensors)
        return {tensor.name: tensor for tensor in found if not is_buffer(tensor)}


def plan_difference(tuned: str, base: str, folder: Path | None = None) -> Difference:
    """Plan the difference from headers alone.

    What only one of the two has, or has in another shape, is no reason to refuse here: it is decided about by name.

    Args:
        tuned: The tuned model's place.
        base: Its base's.
        folder: Folder from which the two count; None is the current one.

    Raises:
        UsageError: Nothing is there, or both are the same files.
        MergeError: One of the two is no sound checkpoint.
    """
    models = (Model(base, {"weight": -1.0}), Model(tuned, {"weight": 1.0}))
    recipe = Recipe(Merge("soup", models), missing="base", mismatch="base", output=Output(dtype="F32"), folder=folder)
    plan = make_plan(recipe)
    inputs = plan.bound.inputs if isinstance(plan.bound, BoundCall) else ()
    positions = [position for position in inputs if isinstance(position, int)]  # of sources under one model's names
    if positions[0] == positions[1]:
        plan.close()
        hint = "--base is the model that it was tuned from"
        raise UsageError("the tuned model and its base are the same files", where=tuned, hint=hint)
    try:
        _check_arithmetic(plan)
    except MergeError:
        plan.close()
        raise
    return Difference(plan, positions[0], positions[1], plan.sources[plan.position_of(models[1])])


def _check_arithmetic(plan: Plan) -> None:
    if not any(row.action == "merge" for row in plan.rows):
        tuned, base = plan.sources[1].location, plan.sources[0].location
        what = f"no weight of it has the name and the shape of one of {base}"
        raise MergeError(what, where=tuned, hint="is it a model of another architecture?")
