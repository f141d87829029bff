"""What a stack changes in config.json: how many layers there are, and what is said of each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..checkpoints.beside import Beside
from ..checkpoints.checkpoint import Source
from ..checkpoints.derived import whole
from .depth import block_of, stack_sizes
from .names import HEADS
from .reference import Reference
from .stacks import LAYER_KEYS

_COUNTS = (*LAYER_KEYS, "encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers", "layers")
_NUMBERS = ("mlp_only_layers", "cross_attention_layers")  # lists of the numbers of some layers
# Lists of one entry per layer have such words in their names; others, of token ids or pixel means, may be as long.
_BY_LAYER = ("layer", "block", "type", "pattern", "head", "intermediate", "ffn", "window", "multiplier", "groups")
_TIES = "tie_word_embeddings"
_VISION = ("vision", "visual", "image")
_HALVES = ("encoder", "decoder")


class Layer(NamedTuple):
    """Where a layer of the output comes from: config.json of its model, its number there, and how many there are."""

    config: Mapping[str, Any]
    number: int
    total: int


class Change(NamedTuple):
    """A stack whose layers are not those that config.json tells of.

    Attributes:
        prefix: What stands in front of the layers' numbers.
        before: How many layers the model has whose config.json is copied.
        layers: Where the layers of the output come from.
    """

    prefix: str
    before: int
    layers: Sequence[Layer]


def stack_beside(reference: Reference, opened: Sequence[Source]) -> tuple[Beside, list[str]]:
    """Return the changes to config.json, and warnings about counts of layers that it does not state."""
    donor = opened[reference.position]
    changes = list(_changes(reference, opened))
    ties = _ties(reference, whole(donor))
    if not (changes or ties) or not donor.config:
        return Beside(), []
    unstated = [change for change in changes if _unstated(donor.config, change)]
    warnings = [
        f"config.json of {donor.location} does not state the {change.before} layers of '{change.prefix}', "
        f"of which the output has {len(change.layers)}: enter them by hand"
        for change in unstated
    ]
    return Beside({"config.json": [lambda config: _with_ties(_edited(config, changes, ()), ties)]}), warnings


def _ties(reference: Reference, donor: Source) -> dict[str, bool]:
    """Return what changes where the output has a head of its own and the donor has none, or the other way round."""
    has, had = (any(head in tensors for head in HEADS) for tensors in (reference.tensors, donor.tensors))
    return {} if has is had else {_TIES: not has}


def _with_ties(config: dict[str, Any], ties: Mapping[str, bool]) -> dict[str, Any]:
    if not ties:
        return config
    nested = {key: {**value, **ties} for key, value in config.items() if isinstance(value, dict) and _TIES in value}
    return {**config, **nested, **ties}


def _changes(reference: Reference, opened: Sequence[Source]) -> Iterator[Change]:
    """Yield the stacks of the output whose layers are not those of the donor, in their order."""
    donor = whole(opened[reference.position])
    before = stack_sizes(donor.tensors)
    layers: dict[str, dict[int, Layer]] = {}
    sizes: dict[int, dict[str, int]] = {}
    for name, info in reference.tensors.items():
        place, own = block_of(name), block_of(info.name)
        if place and own and place[1] not in layers.setdefault(place[0], {}):
            source = whole(opened[reference.origin(name)])
            known = sizes.get(id(source)) or sizes.setdefault(id(source), stack_sizes(source.tensors))
            layers[place[0]][place[1]] = Layer(source.config, own[1], known.get(own[0], 0))
    for prefix, found in layers.items():
        ordered = [found[number] for number in sorted(found)]
        if sorted(found) != list(range(len(found))):
            continue  # numbers with gaps are a sequence of unlike modules and no layers
        count = before.get(prefix, max(before.values(), default=0))
        if len(ordered) != count or any(layer.number != number for number, layer in enumerate(ordered)):
            yield Change(prefix, count, ordered)


def _edited(config: dict[str, Any], changes: Sequence[Change], path: tuple[str, ...]) -> dict[str, Any]:
    return {key: _value(key, value, config, changes, path) for key, value in config.items()}


def _value(key: str, value: Any, beside: Mapping[str, Any], changes: Sequence[Change], path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return _edited(value, changes, (*path, key))
    for change in changes:
        if not _concerns(change, key, path, beside):
            continue
        if key in _COUNTS and value == change.before:
            return len(change.layers)
        if key in _NUMBERS and isinstance(value, list):
            return [new for new, layer in enumerate(change.layers) if layer.number in (_at(layer, key, path) or [])]
        if isinstance(value, list) and len(value) == change.before and any(word in key for word in _BY_LAYER):
            return [_of_layer(layer, key, path, value) for layer in change.layers]
    return value


def _of_layer(layer: Layer, key: str, path: tuple[str, ...], donors: list[Any]) -> Any:
    """Return what its own model's config says of a layer; the donor's, where that says nothing."""
    own = _at(layer, key, path)
    if isinstance(own, list) and len(own) == layer.total:
        return own[layer.number]
    return donors[min(layer.number, len(donors) - 1)]


def _at(layer: Layer, key: str, path: tuple[str, ...]) -> Any:
    found: Any = layer.config
    for name in path:
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found.get(key) if isinstance(found, Mapping) else None


def _concerns(change: Change, key: str, path: tuple[str, ...], beside: Mapping[str, Any]) -> bool:
    """Tell whether a key of config.json is about this stack and not about another of as many layers."""
    place = ".".join((*path, key))
    if any(word in place for word in _VISION) is not any(word in change.prefix for word in _VISION):
        return not path and not any(word in name for name in beside for word in _VISION) and "text" not in place
    for half in _HALVES:
        other = _HALVES[1 - _HALVES.index(half)]
        if other in key and half in change.prefix:
            return False
        if half in change.prefix and half not in key and any(half in name and name in _COUNTS for name in beside):
            return False
    return True


def _unstated(config: Mapping[str, Any], change: Change) -> bool:
    """Tell whether an edit would leave the number of layers as it is although it is another."""
    if len(change.layers) == change.before:
        return False
    return not any(True for _ in _stated(config, change, ()))


def _stated(config: Mapping[str, Any], change: Change, path: tuple[str, ...]) -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _stated(value, change, (*path, key))
        elif key in _COUNTS and value == change.before and _concerns(change, key, path, config):
            yield key
