"""The way through a network: its stem, every block of every stack, and what comes after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .parts import block_part, block_places, in_region, tail_part
from .stacks import find_adapter

if TYPE_CHECKING:
    from torch import Tensor

    from .activations import Activations
    from .regression import Regression
    from .stacks import Stack
    from .survey import Anatomy


@dataclass(frozen=True)
class Walk:
    """A network that is merged part by part.

    Attributes:
        places: Its parameters and buffers by the names of the checkpoint.
        anatomy: Its parts.
        kept: Names of tensors that are not merged.
        region: Which blocks are regressed.
        regression: How a part is merged.
        activations: The data on their way.
    """

    places: Mapping[str, Tensor]
    anatomy: Anatomy
    kept: frozenset[str]
    region: str
    regression: Regression
    activations: Activations

    def go(self) -> None:
        """Merge all parts.

        Raises:
            MergeError: The network's blocks do not follow each other, or a number is not finite.
        """
        self._average_outside()
        *others, last = self.anatomy.stacks
        for stack in others:
            self._through(stack, to_the_end=True)
        self._through(last, to_the_end=bool(self._tail()))
        if self._tail():
            self.regression.merge(tail_part(self.activations, self._tail()))

    def _average_outside(self) -> None:
        """Write the models' average into all that is in no block."""
        inside = {name for stack in self.anatomy.stacks for block in stack.blocks for name in self._own(block)}
        for name, place in self.places.items():
            if name not in inside | self.kept and place.is_floating_point():
                self.regression.average({name: place})

    def _through(self, stack: Stack, *, to_the_end: bool) -> None:
        """Merge the blocks of a stack, and leave the data behind the last one if something follows."""
        self.activations.enter(stack)
        for number, block in enumerate(stack.blocks):
            part = block_part(self.activations, stack, number, self._own(block))
            if in_region(self.region, number, len(stack.blocks)):
                self.regression.merge(part)
            else:
                self.regression.average(part.places)
            if to_the_end or number < len(stack.blocks) - 1:
                self.activations.advance(block, number)
        if to_the_end:
            self.activations.leave(stack)

    def _own(self, block: Any) -> dict[str, Tensor]:
        own = block_places(block, self.places)
        return {name: place for name, place in own.items() if name not in self.kept}

    def _tail(self) -> dict[str, Tensor]:
        """Return what is merged after the last stack, if there is a matrix to regress."""
        names = self.anatomy.tail - self.kept
        if self.region != "all" or not self.anatomy.matrices - self.kept:
            return {}
        return {name: self.places[name] for name in names if self.places[name].is_floating_point()}


def not_merged(module: Any, places: Mapping[str, Tensor], anatomy: Anatomy) -> frozenset[str]:
    """Return the names of the final norms, and of what an adapter keeps with them."""
    adapter = find_adapter(module)
    own = {id(place): name for name, place in (*module.named_parameters(), *module.named_buffers())}
    called = {name: own.get(id(place), "") for name, place in places.items()}
    norms = anatomy.final_norms
    if adapter.final_norms:
        norms = frozenset(name for name, here in called.items() if re.search(adapter.final_norms, here))
    kept = {name for name, here in called.items() if adapter.kept and re.search(adapter.kept, here)}
    return norms | kept


def without_cache(module: Any) -> None:
    """Keep models of transformers from carrying keys and values from block to block."""
    for part in module.modules():
        config: Any = getattr(part, "config", None)
        if getattr(config, "use_cache", False):
            config.use_cache = False
