"""Two small networks, their joint statistics, and the wide network that comes of them, run without resizing a layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from running_models import RunningSample, RunningSubject
from torch import nn
from torch.func import functional_call

from merge.alignment.derive import derive_groups
from merge.alignment.groups import Groups
from merge.alignment.matching.readers import StateReader
from merge.evaluation.task import Settings
from merge.partial.allocation import split_units
from merge.partial.computing import Computed, compute_joint
from merge.partial.declared import JointCalibration
from merge.partial.heads import choose_heads
from merge.partial.joint_file import Joint
from merge.partial.pairs import Matching
from merge.partial.widening import RIDGE, Widening
from merge.partial.widths import Layout, wide_shapes

Pair = tuple[nn.Module, nn.Module]
State = dict[str, Any]


def options(**given: Any) -> JointCalibration:
    return JointCalibration(**{name: one.default for name, one in JointCalibration.declarations.items()} | given)


def floating(module: nn.Module) -> State:
    """Return the floating tensors of a network as arrays, those with several names under each."""
    state = module.state_dict()
    return {name: tensor.numpy() for name, tensor in state.items() if tensor.is_floating_point()}


def run_with(module: nn.Module, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> torch.Tensor:
    """Run a network with other tensors in place of its own: torch's functions take them at any width."""
    own = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}  # each under its first name
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items() if name in own}
    with torch.no_grad():
        found: torch.Tensor = functional_call(copy.deepcopy(module), tensors, kwargs=dict(inputs))
    return found


def matching_of(
    pair: Pair, sample: RunningSample, groups: Groups, note: Any = lambda text: None, **given: Any
) -> Matching:
    subjects = RunningSubject("a", pair[0]), RunningSubject("b", pair[1])
    readers = StateReader("a", floating(pair[0])), StateReader("b", floating(pair[1]))
    return Matching(subjects, sample, readers, groups, options(**given), Settings(batch_size=8), note)


def traced(module: nn.Module, inputs: Mapping[str, Any]) -> Groups:
    return derive_groups(module, RunningSubject("a", module).places(), inputs)


def computed(
    pair: Pair, sample: RunningSample, note: Any = lambda text: None, groups: Groups | None = None, **given: Any
) -> Computed:
    """Return the joint statistics of two networks."""
    inputs = {name: tensor[:3] for name, tensor in sample.inputs.items()}
    found = groups or traced(pair[0], inputs)

    def run(state: Mapping[str, Any]) -> Sequence[torch.Tensor]:
        return [run_with(pair[0], state, inputs)]

    return compute_joint(matching_of(pair, sample, found, note, **given), run, ("one", "other"))


def joint_of(pair: Pair, sample: RunningSample, **given: Any) -> Joint:
    return computed(pair, sample, **given).joint()


def shapes_of(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in state.items()}


def laid_out(
    joint: Joint, states: tuple[State, State], budget: float, allocation: str = "even", heads: str = "auto"
) -> Layout:
    shapes = shapes_of(states[0]), shapes_of(states[1])
    apart = choose_heads(joint, *shapes, heads, "b")
    return Layout(joint.groups, joint.orders, split_units(joint, *shapes, budget, allocation, apart), apart)


def wide(pair: Pair, joint: Joint, budget: float, *, ridge: float = RIDGE, dtype: str = "", **how: Any) -> State:
    """Return the tensors of the wide network, in the type of the members' or in another."""
    one, other = floating(pair[0]), floating(pair[1])
    layout = laid_out(joint, (one, other), budget, **how)
    widening = Widening(joint, layout, ridge)
    found = {name: widening.tensor(name, one[name], other[name]).astype(dtype or one[name].dtype) for name in one}
    assert shapes_of(found) == wide_shapes(shapes_of(one), shapes_of(other), layout)
    return found
