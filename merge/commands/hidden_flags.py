"""Flags that a method refuses, saying why: its command knows them, and its help does not show them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Annotated, Any, get_args

from ..method import Method

OF_ONE_SHAPE = ("base", "keep", "missing", "mismatch")  # tensors of a model have no place in a wider network


def without_refused(method: Method, parameters: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return a command's parameters, of which help leaves out those that the method refuses."""
    names = OF_ONE_SHAPE if method.widens else ()
    return {**parameters, **{name: _hidden(*parameters[name]) for name in names}}


def _hidden(annotation: Any, default: Any) -> tuple[Any, Any]:
    kind, shown = get_args(annotation)
    flag = copy(shown)  # the same one serves other methods
    flag.hidden = True
    return Annotated[kind, flag], default
