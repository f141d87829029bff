"""From options by kind of tensor to our options and layer rules, without what says nothing."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..recipe import LayerRule, Placed
from ..registry import find_method
from .kinds import Found, Kind, find_kinds
from .patterns import names_pattern
from .request import Request
from .values import Resolved, Values

_IN_STACK = r"(?:.*\.)?\d+\."  # what `block_of` takes for a tensor of a block


class Rules(NamedTuple):
    """Our method and its options, and the rules for tensors that have others."""

    method: str
    shared: Placed
    models: tuple[Placed, ...]
    layers: tuple[LayerRule, ...]


def make_rules(request: Request) -> Rules:
    """Turn what a recipe asks for into options and rules of ours.

    Raises:
        UsageError: A parameter without a default has no value for some tensor.
        MergeError: The model whose tensor names are needed cannot be opened.
    """
    method = "passthrough" if request.alone else request.known.ours
    found = _without_defaults(find_kinds(request), method)
    (_, everywhere), *others = found
    kept: list[tuple[Kind, Resolved]] = []
    for kind, values in others:
        if not _same(values, _without_rule(kind, everywhere, kept)):
            kept.append((kind, values))
    outside = [kind for kind, _ in found if not kind.in_stack]
    layers = tuple(
        _rule(_simplified(kind, outside), values, everywhere, request.where) for kind, values in reversed(kept)
    )
    return Rules(method, _placed(everywhere.shared), tuple(map(_placed, everywhere.models)), layers)


def _without_rule(kind: Kind, everywhere: Resolved, kept: Sequence[tuple[Kind, Resolved]]) -> Resolved:
    """Return what tensors of a kind have where it has no rule of its own: by the last rule, in order the first."""
    wider = (values for other, values in reversed(kept) if _holds(other, kind))
    return next(wider, everywhere)


def _simplified(kind: Kind, outside: Sequence[Kind]) -> Kind:
    """Leave it to the texts alone to tell a kind from others where no name outside the stacks holds them."""
    return kind if kind.names or any(kind.texts <= other.texts for other in outside) else kind._replace(in_stack=False)


def _holds(wide: Kind, narrow: Kind) -> bool:
    return not narrow.names and wide.texts <= narrow.texts and wide.in_stack <= narrow.in_stack


def _plain(values: Values) -> dict[str, object]:
    return {name: value.value for name, value in values.items()}


def _same(one: Resolved, other: Resolved) -> bool:
    return _plain(one.shared) == _plain(other.shared) and all(
        _plain(mine) == _plain(theirs) for mine, theirs in zip(one.models, other.models, strict=True)
    )


def _without_defaults(found: Found, method: str) -> Found:
    """Leave out options that have our default for every kind of tensor and every model."""
    declared = find_method(method).options.declarations
    given = [values for _, resolved in found for values in (resolved.shared, *resolved.models)]
    telling = {name for values in given for name, value in values.items() if value.value != declared[name].default}
    return [
        (kind, Resolved(_only(resolved.shared, telling), tuple(_only(own, telling) for own in resolved.models)))
        for kind, resolved in found
    ]


def _only(values: Values, names: set[str]) -> Values:
    return {name: value for name, value in values.items() if name in names}


def _placed(values: Values) -> Placed:
    return Placed(_plain(values), {name: value.where for name, value in values.items()})


def _rule(kind: Kind, values: Resolved, everywhere: Resolved, where: str) -> LayerRule:
    shared = _placed(_only(values.shared, set(_differing(values.shared, everywhere.shared))))
    pairs = list(zip(values.models, everywhere.models, strict=True))
    names = {name for own, usual in pairs for name in _differing(own, usual)}
    models = tuple(_placed(_only(own, names)) for own, _ in pairs) if names else ()
    return LayerRule(_pattern(kind), shared, where=where, models=models)


def _differing(values: Values, usual: Values) -> Iterator[str]:
    return (name for name, value in values.items() if value.value != usual[name].value)


def _pattern(kind: Kind) -> str:
    """Return a pattern for the names that hold all texts: a glob for one text, else a regular expression."""
    if kind.names:
        return names_pattern(kind.names)
    texts = [text for text in sorted(kind.texts) if not any(text in other for other in kind.texts - {text})]
    if not kind.in_stack and len(texts) == 1:
        return f"*{glob.escape(texts[0])}*"
    ahead = "".join(f"(?=.*{re.escape(text)})" for text in texts)
    return f"/^{ahead}{_IN_STACK}/" if kind.in_stack else f"/^{ahead}/"
