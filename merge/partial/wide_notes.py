"""What a user should know of a wide network before it is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import some_of
from .joint_file import STAND_IN
from .widths import Layout, Shapes

if TYPE_CHECKING:
    from .joint_file import Joint
    from .widening import Widening

RUNNING = "running_mean"
SOLVED, AVERAGED = "solved by least squares", "averaged where units are merged"
BESIDE = "both models' side by side"


def outputs_of(both: tuple[Shapes, Shapes], layout: Layout) -> list[list[int]]:
    """Return the numbers of the first and the last output of each model, where they lie side by side; else nothing.

    Args:
        both: Shapes of both models' tensors.
        layout: Where they come to lie.
    """
    counts = {tuple(shapes[name][axis] for shapes in both) for name, axis in layout.heads.items()}
    if len(counts) != 1:
        return []
    ((one, other),) = counts
    return [[0, one - 1], [one, one + other - 1]]


def parameters(shapes: Shapes) -> int:
    """Return how many numbers tensors of these shapes hold."""
    return sum(map(math.prod, shapes.values()))


def treatments_of(
    both: tuple[Shapes, Shapes], shapes: Shapes, joint: Joint, widening: Widening
) -> dict[str, tuple[str, str]]:
    """Return what becomes of every tensor, and why it is no more than that."""
    without = joint.facts.about.get("left_out", {})
    found = {}
    for name in shapes:
        if widening.is_solved(name, both[0][name], both[1][name]):
            found[name] = (SOLVED, "")
        elif not widening.is_averaged(name, both[0][name], both[1][name]):
            found[name] = (BESIDE, "")
        elif name not in joint.reads:
            found[name] = (AVERAGED, str(without.get(name, "it multiplies nothing")))
        else:
            found[name] = (AVERAGED, str(without.get(name, "no merged unit is read")))
    return found


def notes_of(
    both: tuple[Shapes, Shapes], shapes: Shapes, joint: Joint, layout: Layout, options: Any, widening: Widening
) -> list[str]:
    """Return the notes: how wide it is, what it was solved on, and what averages need afterwards."""
    return list(_notes(both, shapes, joint, layout, options, widening))


def _notes(
    both: tuple[Shapes, Shapes], shapes: Shapes, joint: Joint, layout: Layout, options: Any, widening: Widening
) -> Iterator[str]:
    apart = sum(len(split.first) for split in layout.splits.values())
    units = sum(len(split.pairs) for split in layout.splits.values()) + apart
    share = parameters(shapes) / max(parameters(both[0]), 1)
    yield (
        f"budget {options.budget:g}: {apart:,} of {units:,} pairs of units stay apart, {share:.3g} times the parameters"
    )
    if fixed := always_merged(joint):
        yield f"merged whatever the budget: {fixed}"
    if layout.heads:
        yield "the outputs are the first model's, then the second's"
    solved = sum(widening.is_solved(name, both[0][name], both[1][name]) for name in shapes)
    yield f"{solved} matrices by least squares {_on(joint.facts.about)}" if solved else "no matrix by least squares"
    if apart < units and any(name.endswith(RUNNING) for name in shapes):
        yield "BatchNorm statistics of merged units are averaged, not recalibrated: merge bn-reset does that"


def always_merged(joint: Joint) -> str:
    """Return the groups that cannot be widened, those of one kind together with why the first of them cannot."""
    reasons = joint.facts.about.get("always_merged", {})
    kinds: dict[str, list[str]] = {}
    for name, group in joint.groups.groups.items():
        if name not in joint.widens and group.parent is None:
            kinds.setdefault(group.kind, []).append(name)
    return "; ".join(f"{some_of(names, 3)} ({reasons.get(names[0], 'cannot be widened')})" for names in kinds.values())


def _on(about: Mapping[str, Any]) -> str:
    """Return what the models were run on."""
    data = about.get("data")
    if data == STAND_IN:
        return "on stand-ins: inputs drawn at random"
    if not isinstance(data, Mapping) or not {"number", "name"} <= data.keys():
        return "on data"
    return f"on {data['number']} items of {data['name']}, without labels"
