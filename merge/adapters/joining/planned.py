"""What headers alone tell of an outcome: ranks, sizes, and everything that can be refused before a value is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...dtypes import DTYPES
from ...errors import UsageError
from ..naming import OUTPUT
from .planning import plan_products, plan_whole
from .request import Request
from .shaping import truncation_of, widest
from .uniting import United


@dataclass(frozen=True)
class Planned:
    """What will be made of one module.

    Attributes:
        module: Its name.
        kind: ``linear``, ``convolution`` or ``embedding``.
        shape: Of its weight.
        ranks: Of every adapter's factors; 0 where it adapts nothing.
        rank: Of the outcome, the most where the energy decides.
        nbytes: Size of the outcome's factors.
    """

    module: str
    kind: str
    shape: tuple[int, ...]
    ranks: tuple[int, ...]
    rank: int
    nbytes: int


def check(united: United, request: Request) -> None:
    """Refuse what this method cannot join.

    Raises:
        UsageError: Saying why and what to do.
    """
    for module, addends in united.addends.items():
        if not request.is_sum and any(one is not None and one.shift is not None for one in addends):
            what = f"'{module}' has a bias in its factors (lora_bias), which only sums of adapters can have"
            raise UsageError(what, hint="give --method soup or task-arithmetic, or leave the module out by --skip")
    _check_attention(united, request)
    if united.addends:
        plan_products(united, request.recipe)
    plan_whole(united, request)


def _check_attention(united: United, request: Request) -> None:
    """Refuse ranks by energy for torch's own attention, both of whose layers PEFT gives one rank."""
    if request.truncation is None or request.truncation.energy is None:
        return
    for module in united.addends:
        attention = module.removesuffix(OUTPUT)
        if attention != module and attention in united.addends:
            what = f"'{attention}' and '{module}' have one rank in PEFT, and --energy gives each its own"
            raise UsageError(what, hint="give --rank")


def planned(united: United, request: Request) -> list[Planned]:
    """Return what will be made of every module."""
    item = DTYPES[request.dtype or widest(united)].bits // 8
    return [_planned(united, request, module, item) for module in united.addends]


def _planned(united: United, request: Request, module: str, item: int) -> Planned:
    shape = united.shape_of(module)
    sides = shape[0], prod(shape[1:])
    ranks = tuple(0 if one is None else one.rank for one in united.addends[module])
    is_cut = request.truncation is not None or not request.is_sum
    most = truncation_of(united, request, module).most(sides) if is_cut else sum(ranks)
    rank = min(most, sum(ranks)) if request.is_sum else most
    return Planned(module, united.first_of(module).kind, shape, ranks, rank, item * rank * sum(sides))
