"""What a matching gives: orders, and a report of how well they fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .convergence import ManyReport
from .gradient_report import GradientReport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Step:
    """How far a matching is: given to a callback after every group, so that it can be seen to converge.

    Attributes:
        stage: ``comparing``, ``anchoring``, ``sweep``, ``frank-wolfe`` or ``data``.
        restart: Number of the start, from 1.
        sweep: Number of the pass over all groups, from 1; 0 before the first.
        group: The group that was solved.
        done: Groups that this pass is done with.
        of: Groups in a pass.
        changed: Groups that this pass has changed so far; none in a whole pass is the end.
        objective: Sum of similarities so far.
    """

    stage: str
    restart: int
    sweep: int
    group: str
    done: int
    of: int
    changed: int
    objective: float


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class GroupReport:
    """How one group was matched.

    Attributes:
        size: Number of units; of a nested group within each unit of its parent.
        fixed: Share of the units that stay in their place.
        cosine: Mean over units of the cosine (or correlation) of what was matched; None where all units are dead.
        seconds: Time spent on it; on nested groups their parent's.
    """

    size: int
    fixed: float
    cosine: float | None
    seconds: float


@dataclass(frozen=True)
class MatchReport:
    """How a model was matched.

    Attributes:
        matching: ``weights``, ``activations`` or ``straight-through``.
        objective_before: Sum of similarities of units in the order as it is.
        objective_after: With the orders that were found.
        distance_before: Euclidean distance to the reference over all tensors.
        distance_after: The same when aligned.
        sweeps: Passes over all groups, the last one without gain included; of MergeMany, rounds; of
            a universe, steps and rounds.
        converged: Whether the last pass gained nothing; of straight-through matching, the last one of its start.
        same_basin: Share of the units that were in their best place already; None where it was not looked at.
        seeds: Of the run, and what was drawn with them.
        groups: By name.
        notes: What the user should know.
        seconds: Time of the whole.
        many: How three and more models came to one order; None for two.
        gradients: How the loss halfway fell; None for matchings without gradients.
    """

    matching: str
    objective_before: float
    objective_after: float
    distance_before: float
    distance_after: float
    sweeps: int
    converged: bool
    same_basin: float | None
    seeds: Mapping[str, int]
    groups: Mapping[str, GroupReport]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    many: ManyReport | None = None
    gradients: GradientReport | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Matched:
    """Orders of the groups of a model, and the report.

    Attributes:
        orders: By group; a group that is absent stays as it is.
        report: How well they fit.
    """

    orders: Mapping[str, NDArray[np.int64]] = field(repr=False)
    report: MatchReport
