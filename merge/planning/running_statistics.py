"""BatchNorm statistics: averages of activations, which are averaged again whatever the method does to weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..program import Call, Expression
from ..registry import find_method
from .bound import BoundCall, BoundRule
from .resolver import Resolver
from .tensor_options import resolve_options, share_out


class StatisticsResolver(Resolver):
    """Builds averages in the place of the recipe's methods, with the shares that these give the models."""

    def _combine(
        self,
        bound: BoundCall,
        rule: BoundRule | None,
        name: str,
        inputs: list[Expression | None],
        base: Expression | None,
        absent: frozenset[int],
    ) -> Expression | None:
        """Return the average of the inputs that are present; of one merge alone, that is the merge's."""
        depth = self._depth(bound, rule, name)
        options = resolve_options(bound, rule, depth, tuple(range(len(inputs))))
        shares = _shares(bound.method.shares(options), len(inputs))
        every = inputs if len(shares) == len(inputs) else [base, *inputs]
        kept = tuple(share for share, child in zip(shares, every, strict=True) if child is not None)
        children = tuple(child for child in every if child is not None)
        counting = [child for share, child in zip(kept, children, strict=True) if share]
        if len(children) == 1 or len(counting) == 1:  # nothing is averaged
            return (counting or children)[0]
        weights = kept if len(kept) == len(shares) else share_out(shares, kept)
        key = (bound, children, weights)
        if key not in self._calls:
            soup = find_method("soup")
            values: dict[str, Any] = {"weight": weights, "normalize": False}
            self._calls[key] = Call(f"{bound.path}.average", soup, soup.options(**values), children)
        return self._calls[key]


def _shares(given: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """Return shares that sum to 1: those given, or equal ones where a variance could turn negative."""
    if given is None or min(given) < 0 or not 0 < sum(given) < math.inf:
        return (1 / count,) * count
    if len(set(given)) == 1:
        return (1 / len(given),) * len(given)
    return tuple(share / sum(given) for share in given)
