"""The options of a merge with every default filled in, the same for all tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..method import Method
from ..recipe import Merge
from ..registry import find_method


def calibration_options(merge: Merge) -> Any:
    """Return the options with which a merge's statistics are computed."""
    declared = find_method(merge.method).calibration
    return declared(**_checked(merge.calibration, declared.declarations))


def method_options(merge: Merge, method: Method) -> Any:
    """Return a method's options."""
    declared = method.options.declarations
    count = len(merge.models)
    found = _checked(merge.options, declared)
    for name, declaration in declared.items():
        if declaration.per_model:
            default = declaration.default(count) if callable(declaration.default) else declaration.default
            found[name] = tuple(model.options.get(name, default) for model in merge.models)
    return method.options(**found)


def _checked(given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: declared[name].check(value, None) for name, value in given.items()}
