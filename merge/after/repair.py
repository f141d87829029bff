r"""REPAIR: the activations of an average brought back to those of the models that it is of.

Jordan et al. 2023, "REPAIR: REnormalizing Permuted Activations for Interpolation Repair", arXiv:2211.08403. Averaging
units that are only partly alike makes their activations vary less, layer after layer. For the output y of every linear
and convolutional layer, before the activation function, with a and b the endpoints and m = (1 - w) a + w b:

    goal:   mean = (1 - w) mean_a + w mean_b,    std = (1 - w) std_a + w std_b
    y'  =   goal_mean + (y - mean_m) sqrt((goal_std^2 + eps) / (std_m^2 + eps)),    eps = 1e-5

As in the original code, standard deviations are averaged, not variances, and the average's own statistics are found in
one pass in which every layer is brought to its goal batch by batch, so that later layers see what earlier ones have
become. There a batch's variance is the biased one; here it is not, so that with a single batch every layer meets its
goal exactly. Factor and shift are folded into weight and bias; a layer without bias is only scaled. Statistics of
BatchNorm are measured in the same pass.

The units of the endpoints must be in one order, that of the average: align them first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..calibration.facts import IN_OUT
from ..errors import MergeError
from .batch_norm import collect
from .batch_norm_layers import BatchStatistics, layers_in
from .channel_sums import Moments
from .correction import Correction, Goal, correction_to, goal_of
from .layers import Layer
from .observer import Together
from .passes import Passes
from .pre_activations import PreActivations

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.subject import Sample, Subject

KIND = "repair"
NOT_MET = "no weight of a linear or convolutional layer that ran"


@dataclass(frozen=True)
class Endpoints:
    """What the models of an average have in common.

    Attributes:
        layers: Those that all of them run, by the name of the weight.
        goals: Of these.
        odd: Why others cannot be corrected.
    """

    layers: Mapping[str, Layer]
    goals: Mapping[str, Goal]
    odd: Mapping[str, str]


def look_at(found: Sequence[PreActivations], shares: Sequence[float] | None = None) -> Endpoints:
    """Return what the endpoints give as goals, by their shares in the average; None: equal ones."""
    first = found[0]
    odd = {name: why for one in found for name, why in one.layers.odd.items()}
    shared = [name for name in first.layers.met if name not in odd and all(name in one.sums.moments for one in found)]
    goals = {name: goal_of([one.sums.moments[name] for one in found], shares) for name in shared}
    return Endpoints({name: first.layers.met[name] for name in shared}, goals, odd)


@dataclass(frozen=True)
class Repaired:
    """What a checkpoint is corrected by.

    Attributes:
        tensors: By the names of weights, factors [outputs]; of biases, factors and shifts [2, outputs]; BatchNorm's
            statistics in their own shapes.
        layouts: Of weights that are not stored [outputs, inputs].
        without_bias: Weights of layers that are scaled, not shifted.
        left_out: Why a layer stays as it is, by the name of its weight.
        largest: The largest factor.
    """

    tensors: dict[str, Tensor]
    layouts: dict[str, str]
    without_bias: list[str]
    left_out: dict[str, str]
    largest: float


def repair(
    subject: Subject, sample: Sample, tensors: Mapping[str, Tensor], endpoints: Endpoints, passes: Passes
) -> Repaired:
    """Run an average of models over a sample and return what corrects it.

    Args:
        subject: Its network; none of its parameters and buffers are changed.
        sample: The items.
        tensors: Of its checkpoint.
        endpoints: The goals.
        passes: How it is run.

    Raises:
        MergeError: The network does not run, or shares no layer with the endpoints.
    """
    places = subject.places()
    outputs = PreActivations(places, subject.name, endpoints.goals)
    norms = BatchStatistics(places, subject.name)
    batches = passes.run(KIND, subject, sample, Together([outputs, norms]))
    moments = {name: found for name, found in outputs.sums.moments.items() if name in endpoints.goals}
    odd = {**endpoints.odd, **outputs.layers.odd}
    kept = [layer for name, layer in endpoints.layers.items() if name in moments and name not in odd]
    if not kept:
        raise MergeError("no linear or convolutional layer could be corrected", where=subject.name)
    corrections = {layer: _correction(layer, endpoints.goals[layer.weight], moments[layer.weight]) for layer in kept}
    found = _folded(corrections)
    if layers_in(tensors):
        found |= collect(norms, tensors, batches, subject.name).tensors
    return Repaired(
        found,
        {layer.weight: IN_OUT for layer in kept if layer.layout == IN_OUT},
        [layer.weight for layer in kept if layer.bias is None],
        _left_out(tensors, {layer.weight for layer in kept}, odd),
        max(float(correction.scale.max()) for correction in corrections.values()),
    )


def _correction(layer: Layer, goal: Goal, found: Moments) -> Correction:
    return correction_to(goal, found.mean, found.variance, shifts=layer.bias is not None)


def _folded(corrections: Mapping[Layer, Correction]) -> dict[str, Tensor]:
    import torch

    found = {layer.weight: correction.scale for layer, correction in corrections.items()}
    return found | {layer.bias: torch.stack([*both]) for layer, both in corrections.items() if layer.bias is not None}


def _left_out(tensors: Mapping[str, Tensor], kept: set[str], odd: Mapping[str, str]) -> dict[str, str]:
    """Return why a matrix or filter of the checkpoint stays as it is."""
    matrices = [name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.ndim > 1]
    return {name: odd.get(name, NOT_MET) for name in matrices if name not in kept}
