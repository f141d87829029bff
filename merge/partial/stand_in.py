"""Inputs drawn at random that stand in for data, and the networks that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..calibration.subject import Batch
from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

    from ..alignment.derive.trace import Inputs
    from ..alignment.models import Traceable

MASK = "mask"  # in the names of inputs that say which tokens count


@dataclass
class StandInSubject:
    """A network that is run on what its example of inputs looks like.

    Attributes:
        name: The model, as the user gave it.
        module: The torch module.
        device: Where it is.
        traced: The network, with an example of its inputs.
        predicts: It is run for its activations alone.
    """

    name: str
    module: Any
    device: str
    traced: Traceable
    predicts: str = "nothing"

    def places(self) -> Mapping[str, Tensor]:
        """Return parameters and buffers by the checkpoint's names."""
        return self.traced.places

    def run(self, inputs: Mapping[str, Tensor]) -> None:
        """Run the network once. Raises MergeError where it does not run."""
        try:
            if isinstance(self.traced.inputs, Mapping):
                self.module(**inputs)
            else:
                self.module(*(inputs[str(place)] for place in range(len(inputs))))
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            first_line = str(error).strip().partition("\n")[0]
            shapes = " and ".join(str(list(one.shape)) for one in inputs.values())
            what = f"{type(self.module).__name__} does not run on inputs {shapes}: {first_line}"
            raise MergeError(what, where=self.name) from error

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Refuse: nothing is predicted. Raises MergeError."""
        raise MergeError("stand-ins have nothing to predict", where=self.name)


def stand_in_subject(traced: Traceable, name: str, device: str) -> StandInSubject:
    """Return a network that is run on stand-ins, on a device."""
    return StandInSubject(name, traced.module.to(device), device, traced)


class StandIns:
    """Items like an example: numbers from a standard normal distribution, tokens drawn evenly.

    Each item follows from the seed and its own number alone. Masks stay as they are in the example, and so do tokens
    that are the same in all of its rows, such as an end of text.

    Args:
        module: The network, for the number of its tokens.
        example: What it reads.
        count: How many items there are.
        seed: Of the draws.
    """

    def __init__(self, module: Any, example: Inputs, count: int, seed: int) -> None:
        given = example if isinstance(example, Mapping) else {str(place): one for place, one in enumerate(example)}
        self._example: dict[str, Tensor] = dict(given)
        self._count, self._seed, self._tokens = count, seed, _tokens(module)
        self.about: Mapping[str, Any] = {
            "name": "stand-in",
            "number": count,
            "seed": seed,
            "shapes": {name: list(one.shape[1:]) for name, one in self._example.items()},
        }

    def __len__(self) -> int:
        return self._count

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the items in order, from the item ``first`` on; one by one where the example is of one item."""
        import torch

        size = min(size, 1) if all(len(one) == 1 for one in self._example.values()) else size
        for start in range(first, self._count, size):
            drawn = [self._item(number) for number in range(start, min(start + size, self._count))]
            yield Batch({name: torch.stack([item[name] for item in drawn]) for name in self._example}, None, {})

    def _item(self, number: int) -> dict[str, Tensor]:
        import numpy as np

        generator = np.random.Generator(np.random.PCG64([self._seed, number]))
        return {name: self._drawn(name, one, generator) for name, one in self._example.items()}

    def _drawn(self, name: str, example: Tensor, generator: Any) -> Tensor:
        import numpy as np
        import torch

        shape = tuple(example.shape[1:])
        if example.is_floating_point():
            return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
        if MASK in name:
            return example[0]
        drawn = torch.from_numpy(generator.integers(0, self._tokens or int(example.max()) + 1, shape)).to(example.dtype)
        fixed = (example == example[:1]).all(dim=0) if len(example) > 1 else torch.zeros(shape, dtype=torch.bool)
        return torch.where(fixed, example[0], drawn)


def _tokens(module: Any) -> int | None:
    """Return how many tokens a network of transformers knows; None for others."""
    find = getattr(module, "get_input_embeddings", None)
    try:
        table = find() if find else None
    except (NotImplementedError, AttributeError):  # it has none
        return None
    return int(table.weight.shape[0]) if table is not None and hasattr(table, "weight") else None
