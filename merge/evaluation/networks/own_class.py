"""The user's own class from the user's own file of Python code."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ..image_format import ImageFormat
from .network import ImageNetwork
from .weights import load_strictly, no_global_randomness

if TYPE_CHECKING:
    from torch import Tensor

    from ..model_name import ModelName

IMAGE_DIMENSIONS = 4


def build_own(model: ModelName, tensors: Mapping[str, Tensor], *, where: str) -> ImageNetwork:
    """Build a class of the user's file; this runs the file.

    The class is a ``torch.nn.Module`` that is made without arguments and whose ``forward(pixels)`` gives logits, or an
    object with ``logits``. What images it takes is said by the attributes ``channels`` and ``image_size``, else by
    ``example_inputs()``; one whose example has the shape [n, features] gets flattened images. Else images come as they
    are stored.

    Raises:
        UsageError: The file does not run, has no such class, or the class cannot be made.
        MergeError: The tensors do not fit.
    """
    module = make_own(model)
    load_strictly(module, tensors, model.detail, where=where)
    example = _example(module, model)
    flat = example is not None and example.ndim < IMAGE_DIMENSIONS
    expects = _image_format(module, None if flat else example, model)

    def outputs(pixels: Tensor) -> Tensor:
        result = module(pixels.flatten(1) if flat else pixels)
        return _checked(getattr(result, "logits", result), len(pixels), model, where)

    return ImageNetwork(module, outputs, True, expects, {name: name for name in tensors})


def _checked(outputs: Any, n: int, model: ModelName, where: str) -> Tensor:
    """Return the outputs of ``n`` images. Raises MergeError unless they are a tensor with a row for each."""
    import torch

    if not isinstance(outputs, torch.Tensor):
        what = f"{model.detail} gives {type(outputs).__name__}; a tensor of logits, or an object with 'logits'"
        raise MergeError(f"{what}, is expected", where=where)
    if outputs.shape[:1] != (n,):
        raise MergeError(f"{model.detail} gives outputs {list(outputs.shape)} for {n} images", where=where)
    return outputs


def make_own(model: ModelName) -> Any:
    """Return an instance with initial weights. Raises UsageError, as above."""
    import torch

    found = getattr(_run_file(model), model.detail, None)
    with no_global_randomness():
        try:
            module = found() if isinstance(found, type) else None
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            what = f"{model.detail}() cannot be made without arguments: {_first_line(error)}"
            raise UsageError(what, where=model.name) from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"{model.detail} is no torch.nn.Module", where=model.name)
    return module


def _run_file(model: ModelName) -> ModuleType:
    path = Path(model.name)
    specification = importlib.util.spec_from_file_location(f"merge_model_{path.stem}", path)
    assert specification is not None  # noqa: S101 -- a path that ends in .py always has one
    assert specification.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses and pickles look their module up there
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UsageError(f"the file does not run: {_first_line(error)}", where=model.name) from error
    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    if model.detail not in classes:
        hint = suggest(model.detail, classes) or f"classes in it: {', '.join(classes) or 'none'}"
        raise UsageError(f"no class '{model.detail}'", where=model.name, hint=hint)
    return module


def _example(module: Any, model: ModelName) -> Tensor | None:
    """Return the first of ``example_inputs()``, if the class has that."""
    import torch

    if not hasattr(module, "example_inputs"):
        return None
    try:
        example = module.example_inputs()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UsageError(f"example_inputs() fails: {_first_line(error)}", where=model.name) from error
    first = example[0] if isinstance(example, list | tuple) and example else example
    if not isinstance(first, torch.Tensor) or first.ndim not in (2, IMAGE_DIMENSIONS):
        what = "to be run on images, example_inputs() must give [n, channels, height, width] or [n, features]"
        raise UsageError(what, where=model.name)
    return first


def _image_format(module: Any, example: Tensor | None, model: ModelName) -> ImageFormat:
    if not hasattr(module, "image_size"):
        if example is None:
            return ImageFormat(channels=getattr(module, "channels", None), size=None)
        return ImageFormat(channels=example.shape[1], size=(example.shape[2], example.shape[3]))
    size = module.image_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise UsageError(f"image_size must be a number or (height, width), not {size}", where=model.name)
    channels = getattr(module, "channels", None if example is None else example.shape[1])
    return ImageFormat(channels=channels, size=size)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
