"""The first network with everything in place to compute as the interpolation of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import MergeError
from .moment import Moment
from .pairs import own_tensors, pairs_of
from .patching import patched, without_caches
from .reading import reading_class
from .ruled import Ruled
from .rules import rule_for
from .rules.site import Site
from .rules.table import reads_children
from .vectorised import Vectorised

Method = tuple[str, str]
WHOLE: Method = ("", "forward")
Logits = Callable[[NDArray[np.int64]], Tensor]
_BUDGET = 0.25  # of a network's bytes: how much may be held of tensors that are interpolated per sample
_SMALL_PART, _LARGE_PART = 2 << 20, 64 << 20  # bytes


class BlendedNetwork:
    """Two networks of one architecture as one.

    Attributes:
        vectorised: Modules and methods that are run sample by sample under vmap, by name; ``WHOLE`` is the network.
    """

    def __init__(self, first: nn.Module, second: nn.Module, where: str) -> None:
        self._first, self._where = first, where
        self._pairs = {pair.name: pair for pair in pairs_of(first, second, where)}
        self._moment = Moment(_part(self.bytes, self.device))
        self._names = {pair.first: name for name, pair in self._pairs.items()}
        self._differing = {name for name, pair in self._pairs.items() if pair.differing}
        self._rules = {name: rule for name, pair in self._pairs.items() if (rule := self._rule(name, pair.first))}
        self._classes = {
            self._pairs[name].first: reading_class(self._pairs[name], self._moment) for name in self._differing
        }
        self.vectorised: frozenset[Method] = frozenset()
        self._methods: dict[tuple[nn.Module, str], Callable[..., Any]] = {}

    @property
    def bytes(self) -> int:
        """The size of one network."""
        return sum(tensor.nbytes for module in self._first.modules() for tensor in own_tensors(module).values())

    @property
    def type(self) -> torch.dtype:
        """The type in which weights are kept: float64 for networks of that type, else float32."""
        types = {tensor.dtype for module in self._first.modules() for tensor in own_tensors(module).values()}
        return torch.float64 if torch.float64 in types else torch.float32

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        held = (tensor for module in self._first.modules() for tensor in own_tensors(module).values())
        return next((tensor.device for tensor in held), torch.device("cpu"))

    @contextmanager
    def uniform(self, weight: float) -> Iterator[None]:
        """Have the first network compute with ``weight * first + (1 - weight) * second``."""
        self._refuse_nesting()
        with patched(self._classes, {}), self._moment.at(weight):
            yield

    def record(self, weight: float, logits: Logits, index: int) -> frozenset[torch.dtype]:
        """Run one sample to see what the tensors of one sample look like, and return their types."""
        self._moment.axes.forget()
        with self._in_place(weight), self._moment.record(True):
            logits(np.array([index]))
        return frozenset(self._moment.axes.types)

    def per_sample(self, weights: Tensor, logits: Logits, indices: NDArray[np.int64]) -> Tensor:
        """Run samples, each with a weight of its own.

        Args:
            weights: [samples], of this network's type and device.
            logits: Runs the first network on samples by their numbers.
            indices: [samples], their numbers.

        Returns:
            [samples, classes].
        """
        self._refuse_nesting()
        self._moment.axes.begin()
        with self._in_place(weights):
            return logits(indices)

    @contextmanager
    def _in_place(self, weight: float | Tensor) -> Iterator[None]:
        with patched(self._classes, self._patches()), without_caches(self._first), self._moment.at(weight):
            yield

    def vectorise(self, name: str, method: str) -> None:
        """Run a method sample by sample too; for a module with bare tensors, that of all modules of its class."""
        alike = {
            other
            for other in self._differing - self._rules.keys()
            if name in self._differing and type(self._pairs[other].first) is type(self._pairs[name].first)
        }
        self.vectorised |= {(other, method) for other in alike | {name}}
        self._methods = {}

    def can_vectorise(self, module: object, method: str) -> str | None:
        """Return the name of a module of this network one of whose methods could be run sample by sample, else None."""
        if not isinstance(module, nn.Module) or (method != "forward" and hasattr(nn.Module, method)):
            return None
        name = self._names.get(module)
        bare = name not in self._rules or next(module.children(), None) is not None
        known = callable(getattr(type(module), method, None)) and (name, method) not in self.vectorised
        return name if bare and known else None

    def _refuse_nesting(self) -> None:
        if self._moment.weight is not None or any(hasattr(module, "is_blended") for module in self._classes):
            raise MergeError("the network is already computing with interpolated weights", where=self._where)

    def _rule(self, name: str, module: nn.Module) -> Any:
        rule = rule_for(module)
        if rule is None:
            return None
        below = reads_children(rule) and any(other.startswith(f"{name}.") for other in self._differing)
        return rule if name in self._differing or below else None

    def _patches(self) -> dict[tuple[nn.Module, str], Callable[..., Any]]:
        if not self._methods:
            budget = int(_BUDGET * self.bytes)
            for name, rule in self._rules.items():
                pair = self._pairs[name]
                site = Site(name, pair.first, pair.second, self._moment)
                self._methods[pair.first, "forward"] = Ruled(site, rule)
            for name, method in self.vectorised:
                module = self._pairs[name].first
                bound = getattr(module, method)
                self._methods[module, method] = Vectorised(f"{name}:{method}", bound, self._moment, budget)
        return self._methods


def _part(size: int, device: torch.device) -> int:
    """Return how many bytes of the first network's output are held at a time while it is mixed into the second's.

    On a CPU as many as stay in its cache. Elsewhere larger parts are faster, but no more than the budget.
    """
    return _SMALL_PART if device.type == "cpu" else min(_LARGE_PART, max(_SMALL_PART, int(_BUDGET * size)))
