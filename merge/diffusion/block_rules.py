"""Block weights ▸ layer rules: what the number of a block means to a method that knows nothing of blocks.

It is the share of the last model. A method that averages gives it that weight, and the rest of 1 to the others, in the
proportions of their own weights; one that adds task vectors gives the last one that weight, and leaves the others
theirs; elsewhere it is the one option that says how far to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..errors import UsageError
from ..method import Method
from ..planning.patterns import BLOCK_PREFIX
from ..recipe import LayerRule, Merge
from .block_shares import has_shares
from .block_weights import FLAG
from .blocks import BLOCKS


def block_rules(method: Method, merge: Merge, numbers: Mapping[str, Decimal]) -> tuple[LayerRule, ...]:
    """Return one layer rule for each number that blocks have.

    Raises:
        UsageError: The method has no use for it, or the other models have no weight to keep their proportions by.
    """
    if not has_shares(method):
        what = f"{method.name} has neither weights nor one option that says how far to go"
        raise UsageError(what, where=FLAG, hint="in a recipe, layers: can change its options by block")
    together: dict[Decimal, list[str]] = {}
    for block, number in numbers.items():
        together.setdefault(number, []).append(block)
    return tuple(
        LayerRule(f"{BLOCK_PREFIX}{','.join(_runs(blocks))}", where=FLAG, **_meaning(method, merge, number))
        for number, blocks in together.items()
    )


def _meaning(method: Method, merge: Merge, number: Decimal) -> dict[str, Any]:
    if method.share_option:
        return {"options": {method.share_option: float(number)}}
    if method.takes == "task_vectors":
        return {"models": (*({} for _ in merge.models[1:]), {"weight": float(number)})}
    weights = [*_others(method, merge, 1 - number), number]
    return {"models": tuple({"weight": float(weight)} for weight in weights)}


def _others(method: Method, merge: Merge, rest: Decimal) -> list[Decimal]:
    """Return the weights of all models but the last, which sum to the rest."""
    default = method.options.declarations["weight"].default
    default = default(len(merge.models)) if callable(default) else default
    weights = [Decimal(str(model.options.get("weight", default))) for model in merge.models[:-1]]
    if len(weights) < 2:
        return [rest] * len(weights)
    if not sum(weights):
        raise UsageError("the models but the last have a weight of 0 in total", where=FLAG, hint="give other --weights")
    return [rest * weight / sum(weights) for weight in weights]


def _runs(blocks: list[str]) -> list[str]:
    """Return names of blocks, three or more in a row as ``IN00-IN05``."""
    runs: list[list[str]] = []
    for block in blocks:
        follows = runs and BLOCKS.index(block) == BLOCKS.index(runs[-1][-1]) + 1 and block[:2] == runs[-1][-1][:2]
        runs[-1].append(block) if follows else runs.append([block])
    return [name for run in runs for name in ([f"{run[0]}-{run[-1]}"] if len(run) > 2 else run)]
