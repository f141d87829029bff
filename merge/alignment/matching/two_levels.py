"""Groups within groups: the units of each pair of heads are matched first, then the heads by how well that went.

Verma and Elbayad (arXiv 2403.01986) match heads so by activations; every pair is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .assignment import assign, is_gain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .families import Family

    Doubles = NDArray[np.float64]
    Order = NDArray[np.int64]
    Orders = Mapping[str, Order]
    # Similarities by the names of the nested groups that they tell apart. Of all heads: [heads, units …, heads,
    # units …]; of one pair of heads: [units …, units …]; the reference's come first.
    Blocks = Mapping[tuple[str, ...], Doubles]

ROUNDS = 100  # most passes over nested groups that depend on one another


def match_blocks(blocks: Blocks, family: Family, orders: Orders) -> tuple[dict[str, Order], float, float]:
    """Match the units of a family.

    Args:
        blocks: Similarities of all its units.
        family: The family.
        orders: Its present orders, among others.

    Returns:
        Its orders; the sum of similarities with the present ones; the sum with these.

    Raises:
        MergeError: Similarities are not finite.
    """
    import numpy as np

    heads = range(family.group.size)
    places = head_order(family, orders)
    partners: list[Sequence[int]] = [heads if family.moves else [places[place]] for place in heads]
    values = np.full((len(heads), len(heads)), -np.inf)
    within: dict[tuple[int, int], dict[str, Order]] = {}
    before = 0.0
    for place in heads:
        for head in partners[place]:
            pair, rows = pair_of(blocks, place, head), rows_of(family, orders, head)
            within[place, head], values[place, head] = match_within(pair, rows)
            if head == places[place]:
                before += value_within(pair, rows)
    chosen = assign(values, places) if family.moves else places
    after = float(values[heads, chosen].sum())
    return (
        joined(family, orders, chosen, [within[place, int(head)] for place, head in enumerate(chosen)]),
        before,
        after,
    )


def head_order(family: Family, orders: Orders) -> Order:
    """Return the present order of the outer units, which is none where they do not move."""
    import numpy as np

    return orders[family.name] if family.moves else np.arange(family.group.size)


def rows_of(family: Family, orders: Orders, head: int) -> dict[str, Order]:
    """Return the present orders within one head of the moved model."""
    return {group.name: orders[group.name][head] for group in family.nested}


def joined(family: Family, orders: Orders, chosen: Order, within: Sequence[Mapping[str, Order]]) -> dict[str, Order]:
    """Return a family's orders.

    Args:
        family: The family.
        orders: Its present ones.
        chosen: Which head comes to each place.
        within: Orders within the head that comes to each place. They are kept by the head's number in the moved model
            as it is; see `merge.alignment.permutations`.
    """
    found = {group.name: orders[group.name].copy() for group in family.nested}
    for head, rows in zip(chosen, within, strict=True):
        for name, row in rows.items():
            found[name][head] = row
    return found | ({family.name: chosen} if family.moves else {})


def pair_of(blocks: Blocks, place: int, head: int) -> dict[tuple[str, ...], Doubles]:
    """Return the similarities of one head of the reference and one of the moved model, as views."""
    everything = slice(None)
    return {names: block[place][(everything,) * len(names) + (head,)] for names, block in blocks.items()}


def value_within(pair: Blocks, rows: Orders) -> float:
    """Return the sum of the similarities of two heads with these orders within the second."""
    return sum(float(_along(block, names, rows).sum()) for names, block in pair.items())


def match_within(pair: Blocks, rows: Orders) -> tuple[dict[str, Order], float]:
    """Match the units of two heads.

    Args:
        pair: Their similarities.
        rows: Present orders within the second head.

    Returns:
        The best orders, and the sum of similarities with them. Where a tensor carries two nested groups at once, these
        are matched in turn until neither gains, from the present orders and from those that the other tensors suggest.
    """
    names = [name for name in rows if any(name in block for block in pair)]
    alone = {name: _assigned(pair, name, rows, alone=True) for name in names}
    if all(len(block) < 2 for block in pair):
        found = dict(rows) | alone
        return found, value_within(pair, found)
    starts = (dict(rows), dict(rows) | alone)
    candidates = [_in_turn(pair, names, start) for start in starts]
    first, second = (value_within(pair, candidate) for candidate in candidates)
    return (candidates[1], second) if is_gain(second, first) else (candidates[0], first)


def _in_turn(pair: Blocks, names: Sequence[str], rows: dict[str, Order]) -> dict[str, Order]:
    for _ in range(ROUNDS):
        before = rows
        for name in names:
            rows = {**rows, name: _assigned(pair, name, rows, alone=False)}
        if all(rows[name] is before[name] for name in names):
            break
    return rows


def _assigned(pair: Blocks, name: str, rows: Orders, *, alone: bool) -> Order:
    """Return the best order of one nested group, by the tensors that carry it alone, or by all."""
    import numpy as np

    size = len(rows[name])
    total = np.zeros((size, size))
    for names, block in pair.items():
        if name in names and (len(names) == 1 or not alone):
            total += _along(block, names, rows, keep=name)
    return assign(total, rows[name])


def _along(block: Doubles, names: tuple[str, ...], rows: Orders, keep: str | None = None) -> Doubles:
    """Sum similarities [units …, units …] over the units that orders pair, of all nested groups but one."""
    import numpy as np

    summed = [position for position, name in enumerate(names) if name != keep]
    for done, position in enumerate(summed):
        own, other = position - done, len(names) - done + position - done
        paired = np.moveaxis(block, (own, other), (0, 1))
        row = rows[names[position]]
        block = paired[np.arange(len(row)), row].sum(axis=0)
    return block
