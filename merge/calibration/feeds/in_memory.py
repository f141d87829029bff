"""A torch module and tensors at hand, as calibration takes them: for own networks, and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..subject import Batch
from .running import no_predictions, running

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Mapping[str, Tensor]
    Forward = Callable[[Tensors], Any]


@dataclass
class ModuleSubject:
    """A torch module as the subject of calibration.

    Attributes:
        name: What messages call it.
        module: The module, in evaluation mode.
        forward: Inputs on the device ▸ logits; anything where it predicts ``nothing``.
        names: Name of a parameter or buffer in ``module`` by that in the checkpoint.
        predicts: ``classes``, ``tokens`` or ``nothing``.
        device: Where the module is.
    """

    name: str
    module: Any
    forward: Forward
    names: Mapping[str, str]
    predicts: str
    device: str

    def places(self) -> Mapping[str, Tensor]:
        """Return parameters and buffers by the checkpoint's names."""
        own = dict(self.module.named_buffers()) | dict(self.module.named_parameters(remove_duplicate=False))
        return {name: own[here] for name, here in self.names.items() if here in own}

    def run(self, inputs: Tensors) -> None:
        """Run the module once. Raises MergeError where it does not run."""
        self._outputs(inputs)

    def logits(self, inputs: Tensors) -> Tensor:
        """Return what ``forward`` gives. Raises MergeError where it does not run, or predicts nothing."""
        if self.predicts == "nothing":
            raise no_predictions(self.module, self.name)
        logits: Tensor = self._outputs(inputs)
        return logits

    def _outputs(self, inputs: Tensors) -> Any:
        with running(self.module, inputs, self.name):
            return self.forward({name: tensor.to(self.device) for name, tensor in inputs.items()})


def subject_from_module(
    name: str,
    module: Any,
    forward: Forward | None = None,
    names: Mapping[str, str] | None = None,
    predicts: str = "classes",
    device: str = "cpu",
) -> ModuleSubject:
    """Wrap a module of any floating type, and set it to evaluate.

    Args:
        name: What messages call it.
        module: A torch module.
        forward: Inputs ▸ logits; None: the module is called with the only input.
        names: Name in the module by the name in the checkpoint; None: both are the same.
        predicts: ``classes``, ``tokens`` or ``nothing``.
        device: A torch device, to which it is moved.
    """
    module.eval().requires_grad_(True).to(device)
    own = [here for here, _ in (*module.named_parameters(remove_duplicate=False), *module.named_buffers())]

    def call(inputs: Tensors) -> Any:
        (only,) = inputs.values()
        return module(only)

    return ModuleSubject(
        name, module, forward or call, dict(zip(own, own, strict=True)) if names is None else names, predicts, device
    )


@dataclass
class TensorSample:
    """Items in memory; each tensor has one row for each of them."""

    inputs: Tensors
    labels: Tensor | None = None
    counted: Tensors | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the items in order, from the item ``first`` on."""
        for start in range(first, len(self), size):
            rows = slice(start, start + size)
            yield Batch(
                inputs={name: tensor[rows] for name, tensor in self.inputs.items()},
                labels=None if self.labels is None else self.labels[rows],
                counted={name: mask[rows] for name, mask in (self.counted or {}).items()},
            )


def sample_from_tensors(
    inputs: Tensors,
    labels: Tensor | None = None,
    counted: Tensors | None = None,
    about: Mapping[str, Any] | None = None,
) -> TensorSample:
    """Make a sample of tensors in memory.

    Args:
        inputs: By the names that the subject's ``forward`` knows, each [items, …].
        labels: Class numbers [items], or tokens [items, tokens].
        counted: Masks [items, tokens] by the name of an input.
        about: What a statistics file records; by default the number of items.

    Raises:
        MergeError: The tensors have different numbers of items.
    """
    sample = TensorSample(inputs, labels, counted)
    parts = [*inputs.values(), *([] if labels is None else [labels]), *(counted or {}).values()]
    if len({len(part) for part in parts}) != 1:
        raise MergeError("the tensors of a sample have different numbers of items", where="sample_from_tensors")
    return TensorSample(inputs, labels, counted, about or {"name": "tensors in memory", "number": len(sample)})
