"""What decides about the coefficients of a recipe: its models, its data, and how to learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data_use import joined_use
from ..errors import UsageError
from ..plan import Plan, make_plan
from ..recipe import Merge, Model, Recipe
from ..search.members import Members
from .data import Material, Networks, prepare
from .presets import Choice, choice_of

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..calibration.declared import ScalingCalibration
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings


@dataclass(frozen=True)
class Job:
    """Coefficients to be learned, with everything that decides about them.

    Attributes:
        members: The base, then the models.
        material: The data.
        tied: Tensors that are one with another tensor.
        choice: How to learn.
        preset: Its name.
        seed: Of draws, of the order of batches, and of changed views.
        parts_seed: Of random parts.
    """

    members: Members
    material: Material
    tied: dict[str, str]
    choice: Choice
    preset: str
    seed: int
    parts_seed: int

    @property
    def data_use(self) -> str:
        """Which data the coefficients are found with."""
        taught = "labels" if self.choice.is_supervised else "unlabeled"
        selecting = "labels" if self.material.seen else "held-out"
        return joined_use([taught, selecting] if self.material.labels else [taught])

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for coefficients that are there already to be these."""
        from ..provenance import TOOL

        choice = {name: value for name, value in asdict(self.choice).items() if name != "memory"}
        facts = {"choice": choice, "seed": self.seed, "parts_seed": self.parts_seed, "tool": TOOL}
        rows = {row.name: row.dtype for row in self.members.rows if row.action == "merge"}
        return {"kind": "coefficients", **facts, **self.material.about, "tensors": rows, "tied": self.tied}


@contextmanager
def opened_job(
    recipe: Recipe,
    data: Sequence[CalibrationData],
    options: ScalingCalibration,
    settings: Settings,
    *,
    validation: Sequence[CalibrationData] = (),
    parts_seed: int = 0,
) -> Iterator[Job]:
    """Open the models of a recipe, and draw the data.

    Args:
        recipe: A merge with a base. Of its method nothing is asked.
        data: What is learned from; one network for each head.
        options: How to learn.
        settings: Device, architecture by ``--model``, items at a time, seed; told of items that ran.
        validation: What candidates are selected by; where there is none, see `prepare`.
        parts_seed: Of random parts.

    Raises:
        UsageError: The options do not go together, or the data does not fit the base.
        MergeError: The models do not fit together.
    """
    choice = choice_of(options)
    if not data:
        raise UsageError("there is no data to learn coefficients from", hint="give --data SPEC")
    plan = make_plan(_as_soup(recipe))
    try:
        members = Members(plan)
        networks = Networks(_base(plan), settings)
        material = prepare(data, validation, networks, choice, options.samples)
        rows = {row.name for row in members.rows if row.action == "merge"}
        tied = {name: owner for name, owner in networks.tied().items() if name in rows and owner in rows}
        yield Job(members, material, tied, choice, options.preset, settings.seed, parts_seed)
    finally:
        plan.close()


def _as_soup(recipe: Recipe) -> Recipe:
    """Return the recipe in which the base is the first of the models, so that all are read by the same rules."""
    merge = recipe.merge
    if merge.base is None:
        hint = "give the base: merge atlas BASE --task-vectors …; base: in a recipe"
        raise UsageError("task vectors need a base", where=merge.where, hint=hint)
    models = tuple(Model(model.model, where=model.where) for model in (merge.base, *merge.models))
    kept = tuple(rule for rule in merge.layers if rule.keep)
    return replace(recipe, merge=Merge("soup", models, merge.base, layers=kept, where=merge.where), evaluate=())


def _base(plan: Plan) -> Candidate:
    from ..evaluation.candidate import read_candidate

    source = plan.sources[plan.reference]
    return read_candidate(source, source.location)
