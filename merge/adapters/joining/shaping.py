"""What is made of modules: their factors, how far these are cut down, their type, and their names in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...dtypes import DTYPES
from ...planning.layout import nbytes_of
from ..low_rank.configuration import PREFIX
from ..low_rank.truncation import Truncation
from ..low_rank.writing import AdapterTensor
from .request import Request
from .uniting import United

# With the name that an adapter has in memory, which is no part of the name in a file.
_NAMED = re.compile(r"(\.lora_(?:embedding_)?[AB])\.(?!weight$|bias$)[^.]+")
_KOHYA = re.compile(r"(.+)\.(?:lora_down|lora\.down)\.weight")


@dataclass(frozen=True)
class Made:
    """The factors of one module.

    Attributes:
        module: Its name.
        kind: ``linear``, ``convolution`` or ``embedding``.
        rank: Of the factors.
        scaling: Factor of their product.
        norm: Root of the sum of squares of what was to be made, or None where nothing was cut.
        error: That of what the factors lack.
        tensors: As the file has them.
    """

    module: str
    kind: str
    rank: int
    scaling: float
    norm: float | None
    error: float
    tensors: tuple[AdapterTensor, ...]

    @property
    def energy(self) -> float:
        """Share of the sum of squares that is kept."""
        return 1.0 - (self.error / self.norm) ** 2 if self.norm else 1.0

    @property
    def nbytes(self) -> int:
        """Size of the tensors."""
        return sum(nbytes_of(tensor.dtype, tensor.shape) for tensor in self.tensors)


@dataclass(frozen=True)
class Outcome:
    """All that was made.

    Attributes:
        modules: In the order of the adapters.
        whole: Tensors that were trained whole.
        zeros: Modules to which nothing is added any more.
    """

    modules: Sequence[Made]
    whole: Sequence[AdapterTensor]
    zeros: Sequence[str]

    @property
    def tensors(self) -> list[AdapterTensor]:
        """All that the file holds."""
        return [*(tensor for made in self.modules for tensor in made.tensors), *self.whole]


class Names(NamedTuple):
    """Names of a module's tensors in a file.

    Attributes:
        alpha: Of the scale, where the form has one in the file.
    """

    a: str
    b: str
    shift: str
    alpha: str | None = None


def names_of(united: United, module: str) -> Names:
    """Return the names of a module's tensors: those of the first adapter that has it, as they stand in a file."""
    factors = united.first_of(module).factors
    if united.is_single_file:
        match = _KOHYA.fullmatch(factors.right.name)
        return Names(factors.right.name, factors.left.name, "", f"{match[1]}.alpha" if match else None)
    a, b = (
        _NAMED.sub(r"\1", f"{PREFIX}{tensor.name.removeprefix(PREFIX)}") for tensor in (factors.right, factors.left)
    )
    return Names(a, b, f"{b.removesuffix('.weight')}.bias")


def truncation_of(united: United, request: Request, module: str) -> Truncation:
    """Return what is kept of a module's matrix: by default the largest rank among the adapters'."""
    if request.truncation is not None:
        return request.truncation
    return Truncation(rank=max(one.rank for one in united.addends[module] if one is not None))


def widest(united: United) -> str:
    """Return the type that holds the factors of all adapters: the common one of 16 bits or more, or else float32."""
    held = (one for addends in united.addends.values() for one in addends if one is not None)
    types = {tensor.dtype for one in held for tensor in (one.factors.left, one.factors.right)}
    fitting = {dtype if DTYPES[dtype].bits == 16 else "F32" for dtype in types}
    return fitting.pop() if len(fitting) == 1 else "F32"
