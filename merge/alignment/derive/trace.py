"""A model traced by ``torch.export``, with layers left whole: ``linear``, ``layer_norm``, attention."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from .nodes import GROUPS_FILE

if TYPE_CHECKING:
    from torch import Tensor

    Inputs = Mapping[str, Tensor] | Sequence[Tensor]

# What objects call their predictions; other tensors in them, such as all hidden states, are not what is preserved.
PREDICTIONS = ("logits", "image_embeds", "text_embeds")

DATA_DEPENDENT = "data-dependent"  # how torch calls a step that goes by values
SHOWN = 80  # characters of the line where a trace broke


def single(outputs: Any) -> Any:
    """Return what a model predicts: a tensor, or of an object the logits or embeddings, or else all tensors in it."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs
    named = [getattr(outputs, name, None) for name in PREDICTIONS]
    predictions = tuple(one for one in named if isinstance(one, torch.Tensor))
    if predictions:
        return predictions
    members = outputs.values() if isinstance(outputs, Mapping) else outputs
    return tuple(member for member in members if isinstance(member, torch.Tensor))


def trace(module: Any, inputs: Inputs, where: str | None = None) -> Any:
    """Trace a model in evaluation mode.

    Args:
        module: On any device.
        inputs: An example: tensors by argument name, or in order.
        where: The model, for messages.

    Returns:
        A ``torch.export.ExportedProgram``; its parameters are named ``module.…``.

    Raises:
        MergeError: The model cannot be traced; says where.
    """
    import torch

    class Predicting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return single(self.module(*args, **kwargs))

    args, kwargs = ((), dict(inputs)) if isinstance(inputs, Mapping) else (tuple(inputs), {})
    try:
        with torch.no_grad(), plain_attention(), evaluating(module), _quiet():
            return torch.export.export(Predicting(), args, kwargs, strict=False)
    except Exception as error:  # torch's tracer and the model's own code may raise anything
        what = f"{type(module).__name__} cannot be traced{_broke_at(error)}: {_reason(error)}"
        raise MergeError(what, where=where, hint=GROUPS_FILE) from error


@contextmanager
def plain_attention() -> Iterator[None]:
    """Keep torch's attention module from its fast path, a single operation that hides heads."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Set a module to evaluate for a while.

    Some modules keep what they computed from their weights until they are set to train; none keeps it past either end.
    """
    was_training = [one for one in module.modules() if one.training]
    forget(module)
    try:
        yield
    finally:
        forget(module)
        for one in was_training:
            one.training = True


def forget(module: Any) -> None:
    """Set a module to evaluate, by way of training: what it keeps of what it computed is dropped there."""
    module.train()
    module.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what torch prints of a graph that it cannot finish: the error says where it broke."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """Return why a trace broke, in a line."""
    first_line = str(error).strip().partition("\n")[0] or type(error).__name__
    if DATA_DEPENDENT not in first_line:
        return first_line
    return "what happens there depends on the values that are read, and a trace knows their shapes alone"


def _broke_at(error: BaseException) -> str:
    """Return the last line of code outside torch that led to an error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_models(frame.filename)]
    if not frames:
        return ""
    last = frames[-1]
    code = f": {last.line[:SHOWN]}" if last.line else ""
    return f" ({Path(last.filename).name}, line {last.lineno}{code})"


def _is_models(filename: str) -> bool:
    parts = Path(filename).parts
    return "torch" not in parts and Path(filename) != Path(__file__) and not filename.startswith("<")
