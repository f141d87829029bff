"""BatchNorm layers that normalize by their batch, as in training, while all else is as in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_ARGUMENTS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def named_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call of torch's function ``batch_norm`` by their names."""
    return dict(zip(_ARGUMENTS, args, strict=False)) | dict(kwargs)


def normalized(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call the function so that it goes by the batch's own statistics, and leaves the running ones as they are."""
    return function(**{**given, "running_mean": None, "running_var": None, "training": True})


def by_batch(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Stand in for the function, as `intercepting` calls it; see `normalized`."""
    return normalized(function, named_arguments(args, kwargs))
