"""Two networks of one architecture run as one whose weights lie between theirs: for all samples alike, or for each.

The interpolation of weights is exact and not a mixture of outputs: a layer gets what the layers below it gave out with
interpolated weights, and only a single layer's output is put together of two (see ``rules/``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import MergeError
from .choosing import FATAL, ONE_BY_ONE, choose, of_network
from .network import BlendedNetwork, Logits


class Blending:
    """Two networks, the first of which can be run as the interpolation of both.

    Neither is changed beyond the contexts, and there is never a third copy of the weights. Networks are in evaluation
    mode; no gradients. Tensors of integers are the first network's.

    Args:
        first: The network that is run.
        second: The other, on the same device. Its values are compared here: tensors that are equal in both are left
            alone from then on.
        where: What the two are, for messages.

    Attributes:
        strategy: How ``run`` computes, found on its first batch: ``modules`` (layer by layer), ``vmap`` (the whole
            network under torch.func.vmap) or ``one by one`` (the slow way that is always right); None before.

    Raises:
        MergeError: When the networks are not of one architecture, with some of the names that differ.
    """

    def __init__(self, first: nn.Module, second: nn.Module, *, where: str) -> None:
        self._network, self._where = BlendedNetwork(first, second, where), where
        self.strategy: str | None = None

    @contextmanager
    def uniform(self, weight: float) -> Iterator[None]:
        """Have the first network compute with ``weight * first + (1 - weight) * second``, whoever calls it.

        At 1 and 0 these are the members' own tensors.

        Args:
            weight: Of the first network.

        Raises:
            MergeError: Inside another context of these networks, or when the weight is not finite.
        """
        if not math.isfinite(weight):
            raise MergeError(f"the weight of the first network is {weight}", where=self._where)
        with self._network.uniform(float(weight)):
            yield

    @torch.no_grad()
    def run(self, logits: Logits, weights: Tensor) -> Tensor:
        """Run a batch in which every sample has a weight of its own.

        Args:
            logits: Runs the first network on the samples of the batch with these numbers [n] and gives [n, classes].
                The first batch is run more than once, and in parts.
            weights: [batch], of the first network.

        Returns:
            [batch, classes]; row i went through ``weights[i] * first + (1 - weights[i]) * second``.

        Raises:
            MergeError: Inside a context of these networks, for an empty batch or a weight that is not finite.
        """
        weights = self._checked(weights)
        indices = np.arange(len(weights))
        if bool((weights == weights[0]).all()):
            with self._network.uniform(float(weights[0])):
                return logits(indices)
        for _ in range(2):
            found = self._in_a_way(logits, weights, indices)
            if found is not None:
                return found
            self.strategy = None  # a batch unlike those before: another way may do
        return self._one_by_one(logits, weights)

    def _in_a_way(self, logits: Logits, weights: Tensor, indices: NDArray[np.int64]) -> Tensor | None:
        """Run the batch in the way that was found, or that is found now; None where it does not do."""
        if self.strategy is None:
            self.strategy = choose(self._network, logits, len(weights))
        if self.strategy in {None, ONE_BY_ONE}:
            return self._one_by_one(logits, weights)
        try:
            return self._network.per_sample(weights, logits, indices)
        except Exception as error:  # what went well with other batches, in parts
            if isinstance(of_network(error), FATAL):
                raise
            return None

    def _checked(self, weights: Tensor) -> Tensor:
        if weights.ndim != 1 or not len(weights):
            raise MergeError(f"weights of shape {list(weights.shape)} are not one per sample", where=self._where)
        bad = torch.nonzero(~torch.isfinite(weights)).flatten().tolist()
        if bad:
            raise MergeError(f"the weight of sample {bad[0]} is {float(weights[bad[0]])}", where=self._where)
        return weights.to(self._network.device, self._network.type)

    def _one_by_one(self, logits: Logits, weights: Tensor) -> Tensor:
        """Run all samples of one weight together, weight after weight."""
        levels, members = torch.unique(weights, return_inverse=True)
        outputs: list[Tensor] = []
        order: list[Tensor] = []
        for number, level in enumerate(levels.tolist()):
            order.append(torch.nonzero(members == number).flatten())
            with self._network.uniform(level):
                outputs.append(logits(order[-1].cpu().numpy()))
        places = torch.argsort(torch.cat(order))
        return torch.cat(outputs)[places.to(outputs[0].device)]
