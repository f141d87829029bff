"""A diffusion model as a source whose tensors have the names of another one."""

from __future__ import annotations

from collections.abc import Mapping

from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..checkpoints.part import PartSource
from ..checkpoints.pieced import PiecedSource
from .fitting import Fitted, Layout, fit
from .known import is_diffusion


def renamed(source: Source, fitted: Fitted, extra: Mapping[str, TensorInfo]) -> Source:
    """Return a source whose tensors have other names.

    Args:
        source: The model.
        fitted: What it is under the other names.
        extra: What else it has, under its own names.
    """
    plain = {**fitted.plain, **{name: tensor for name, tensor in extra.items() if name not in fitted.plain}}
    location = f"{source.location} (under other names)"
    return (
        PiecedSource(source, plain, fitted.pieced, location) if fitted.pieced else PartSource(source, plain, location)
    )


def under_names_of(first: Source, source: Source) -> Source:
    """Return a source under the names of another one; as it is where that changes nothing or they are no such models.

    Raises:
        MergeError: Tensors that are one in the other model are of several types in this one.
    """
    if not (is_diffusion(first.tensors) and is_diffusion(source.tensors)):
        return source
    fitted = fit(Layout(first.tensors), Layout(source.tensors), source.location)
    if fitted.is_as_saved(source.tensors):
        return source
    return renamed(source, fitted, {name: source.tensors[name] for name in fitted.extra})
