"""What goes wrong when a network runs, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def running(module: Any, inputs: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """Turn whatever a network raises at inputs that it does not take into a MergeError that gives their shapes."""
    try:
        yield
    except MergeError:
        raise
    except (Exception, SystemExit) as error:  # models raise whatever they like
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in inputs.items())
        raise MergeError(f"{type(module).__name__} does not run on {shapes}: {first_line}", where=where) from error


def no_predictions(module: Any, where: str) -> MergeError:
    """Return the error of a network without a head, of which logits are asked."""
    hint = "give a model with a head, or data that names one ('head:' of a YAML file); Gram matrices need none"
    return MergeError(f"{type(module).__name__} predicts nothing: it has no head", where=where, hint=hint)
