"""Models whose units were shuffled, so that the right answer of a matching is known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.permutations import axis_indices, identity

State = dict[str, Any]


def member(tensor: str, axis: int, *sizes: int, factor: int = 0, offset: int = 0) -> Member:
    return Member(tensor, axis, sizes, factor, offset)


def groups_of(*groups: Group) -> Groups:
    return Groups({group.name: group for group in groups})


def moved(state: Mapping[str, Any], groups: Groups, orders: Mapping[str, Any]) -> State:
    """Return a model with its units in another order."""
    found = dict(state)
    shapes = {name: tuple(array.shape) for name, array in state.items()}
    for name, axes in axis_indices(groups, orders, shapes).items():
        for axis, index in axes.items():
            found[name] = np.take(found[name], index, axis=axis)
    return found


def random_orders(groups: Groups, seed: int, *names: str) -> dict[str, Any]:
    """Return random orders of the groups that are named, or of all."""
    generator = np.random.default_rng(seed)
    wanted = [group for group in groups.groups.values() if not names or group.name in names]
    return {group.name: generator.permuted(identity(group, groups), axis=-1) for group in wanted}


def shuffled(state: Mapping[str, Any], groups: Groups, seed: int, *names: str) -> State:
    """Return a model with units at random places."""
    return moved(state, groups, random_orders(groups, seed, *names))


def noisy(state: Mapping[str, Any], share: float, seed: int) -> State:
    """Add noise of this share of each tensor's standard deviation."""
    generator = np.random.default_rng(seed)
    return {
        name: array + (share * array.std() * generator.standard_normal(array.shape)).astype(array.dtype)
        for name, array in state.items()
    }


def random_state(seed: int, dtype: str = "float32", **shapes: tuple[int, ...]) -> State:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the Euclidean distance of two models."""
    return float(np.sqrt(sum(((one[name].astype("f8") - other[name]) ** 2).sum() for name in one)))


def mlp(seed: int = 0) -> tuple[State, Groups]:
    """Return a network of three hidden layers, of 12, 10 and 8 units, and its groups."""
    sizes, state, found = (5, 12, 10, 8, 3), {}, []
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        state |= random_state(seed + layer, **{f"{layer}.weight": (outputs, inputs), f"{layer}.bias": (outputs,)})
        if layer:
            members = (
                member(f"{layer - 1}.weight", 0, inputs),
                member(f"{layer - 1}.bias", 0, inputs),
                member(f"{layer}.weight", 1, inputs),
            )
            found.append(Group(f"mlp.{layer - 1}", inputs, members, "mlp"))
    return state, groups_of(*found)


def residual(seed: int = 0, width: int = 64, hidden: int = 256) -> tuple[State, Groups]:
    """Return a stem, one residual block and a head: the residual stream and the block depend on each other."""
    state = random_state(seed, stem=(width, 16), first=(hidden, width), second=(width, hidden), head=(10, width))
    stream = (member("stem", 0, width), member("first", 1, width), member("second", 0, width), member("head", 1, width))
    inner = (member("first", 0, hidden), member("second", 1, hidden))
    return state, groups_of(Group("residual", width, stream, "residual"), Group("mlp", hidden, inner, "mlp"))


def attention(seed: int = 0, width: int = 24, heads: int = 4, size: int = 6) -> tuple[State, Groups]:
    """Return one attention layer whose heads, and units within heads, may move, between a stem and an output."""
    state = random_state(
        seed,
        stem=(width, 7),
        q=(heads * size, width),
        k=(heads * size, width),
        v=(heads * size, width),
        v_bias=(heads * size,),
        o=(width, heads * size),
        out=(5, width),
    )
    stream = tuple(
        member(name, axis, width) for name, axis in (("stem", 0), ("q", 1), ("k", 1), ("v", 1), ("o", 0), ("out", 1))
    )
    places = (("q", 0), ("k", 0), ("v", 0), ("v_bias", 0), ("o", 1))
    whole = tuple(member(name, axis, heads, size) for name, axis in places)
    within = {name: member(name, axis, heads, size, factor=1) for name, axis in places}
    return state, groups_of(
        Group("residual", width, stream, "residual"),
        Group("heads", heads, whole, "heads"),
        Group("heads.qk", size, (within["q"], within["k"]), "within-heads", "heads"),
        Group("heads.vo", size, (within["v"], within["v_bias"], within["o"]), "within-heads", "heads"),
    )


def grouped_attention(
    seed: int = 0, width: int = 20, kv: int = 3, queries: int = 4, size: int = 5
) -> tuple[State, Groups]:
    """Return an attention layer with grouped queries and rotary embeddings: queries and values move within kv heads."""
    state = random_state(
        seed,
        stem=(width, 7),
        q=(kv * queries * size, width),
        k=(kv * size, width),
        v=(kv * size, width),
        o=(width, kv * queries * size),
        out=(5, width),
    )
    stream = tuple(
        member(name, axis, width) for name, axis in (("stem", 0), ("q", 1), ("k", 1), ("v", 1), ("o", 0), ("out", 1))
    )
    full = (kv, queries, size)
    outer = (member("q", 0, *full), member("k", 0, kv, size), member("v", 0, kv, size), member("o", 1, *full))
    repeated = (member("q", 0, *full, factor=1), member("o", 1, *full, factor=1))
    values = (member("v", 0, kv, size, factor=1), member("o", 1, *full, factor=2))
    return state, groups_of(
        Group("residual", width, stream, "residual"),
        Group("heads", kv, outer, "heads"),
        Group("heads.queries", queries, repeated, "heads", "heads"),
        Group("heads.vo", size, values, "within-heads", "heads"),
    )
