"""Where an architecture keeps its blocks: found by its modules, or said by an adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import MergeError
from ...planning.blocks import layer_of

HINT = "docs/architecture-adapters.md tells how to add an adapter; regmean needs no blocks"


@dataclass(frozen=True)
class Adapter:
    """What cannot be seen from an architecture's modules.

    Attributes:
        library: The package that its class is from.
        classes: A regular expression for the class's name.
        stacks: Paths of the lists of blocks in the module; none: found by structure.
        final_norms: A regular expression for parameters of the norms after last blocks; none: found by running it.
        kept: One for parameters after the last block that stay the base's together with these norms.
    """

    library: str
    classes: str = ""
    stacks: tuple[str, ...] = ()
    final_norms: str = ""
    kept: str = ""

    def fits(self, module: Any) -> bool:
        """Tell whether this is for a module."""
        kind = type(module)
        return kind.__module__.partition(".")[0] == self.library and bool(re.search(self.classes, kind.__name__))


# The authors merge embeddings and blocks; norm and projection into the space of images and texts stay the base's.
ADAPTERS: list[Adapter] = [
    Adapter("transformers", r"^(CLIP|Siglip)", kept=r"^(visual|text)_projection\."),
    Adapter("open_clip", kept=r"^(visual\.|text\.)?(proj|head\.proj|text_projection)(\.weight|\.bias)?$"),
]
_NOTHING = Adapter("")


@dataclass(frozen=True)
class Stack:
    """Blocks that follow each other, each on what the one before puts out."""

    name: str
    blocks: tuple[Any, ...]

    @property
    def unit(self) -> str:
        """What the blocks are: ``blocks``, or ``stages`` with a list of blocks in each, as Swin and ConvNeXt have."""
        lists = [getattr(block, name, None) for block in self.blocks for name in ("blocks", "layers")]
        return "stages" if any(hasattr(each, "__len__") for each in lists) else "blocks"

    def label(self, number: int) -> str:
        """Return a block's path in the module, for messages."""
        return f"{self.name}.{number}" if self.name else str(number)


def find_adapter(module: Any) -> Adapter:
    """Return the first adapter for a module, or one that says nothing."""
    return next((adapter for adapter in ADAPTERS if adapter.fits(module)), _NOTHING)


def find_stacks(module: Any, where: str, *, convolutions: bool = False) -> list[Stack]:
    """Return the stacks of a module, also those that some inputs never reach.

    They are the outermost lists of modules that all hold matrices, those aside that have no parameters at all; where
    any of them go by names that architectures give to their blocks, only these. A list of another name must have two
    blocks, since a single matrix in a list may be anything.

    Args:
        module: The network.
        where: What messages call it.
        convolutions: Whether convolutions count as matrices.

    Raises:
        MergeError: There is none.
    """
    named = find_adapter(module).stacks
    if named:
        return [Stack(path, tuple(module.get_submodule(path))) for path in named]
    found = list(_outermost("", module, convolutions))
    known = [stack for stack in found if layer_of(f"{stack.name}.0.weight") == (1, f"{stack.name}.0")]
    others = [stack for stack in found if sum(map(_has_parameters, stack.blocks)) > 1]
    if not known and not others:
        raise MergeError(f"{type(module).__name__} has no list of blocks with matrices", where=where, hint=HINT)
    return known or others


def _outermost(path: str, module: Any, convolutions: bool) -> Iterator[Stack]:
    if _is_stack(module, convolutions):
        yield Stack(path, tuple(module))
        return
    for name, child in module.named_children():
        yield from _outermost(f"{path}.{name}".lstrip("."), child, convolutions)


def _is_stack(module: Any, convolutions: bool) -> bool:
    from torch import nn

    if not isinstance(module, nn.ModuleList | nn.Sequential):
        return False
    blocks = [child for child in module if _has_parameters(child)]
    called = not any(isinstance(child, nn.ModuleList) for child in module)
    return bool(blocks) and called and all(_holds_matrices(block, convolutions) for block in blocks)


def _has_parameters(module: Any) -> bool:
    return any(True for _ in module.parameters())


def _holds_matrices(module: Any, convolutions: bool) -> bool:
    from torch import nn

    kinds = (nn.Linear, nn.MultiheadAttention) + ((nn.Conv1d, nn.Conv2d) if convolutions else ())
    return any(isinstance(each, kinds) or type(each).__name__ == "Conv1D" for each in module.modules())
