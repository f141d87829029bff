"""Task vectors as streams of tensors: the scaled model, and the derivative of a loss by its coefficients.

    theta_j = theta_0j + sum_t sum_k C[t, j, k] mask_jk tau_tj,    tau_tj = theta_tj - theta_0j
    dL/dC[t, j, k] = <dL/dtheta_j restricted to part k, tau_tj>

One gradient and one stream of the models are enough, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..search.members import Members, output_type
from ..search.streamed import MemberTensors
from ..streaming.parts import parts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..planning.rows import Row


class TaskVectors:
    """The differences of models from their base.

    Args:
        members: The base, then the models.
        memory: Bytes that they may take up in memory; the others are read again each time.
        tied: Names of tensors that are one with another tensor, by which they go.
        seed: Of the parts.

    Attributes:
        rows: The tensors that are scaled: floating parameters, BatchNorm statistics not among them.
        streamed: How many of the models, the base among them, are read again each time.
    """

    def __init__(self, members: Members, memory: int, tied: Mapping[str, str] | None = None, *, seed: int = 0) -> None:
        self._members, self._seed, self._tied = members, seed, dict(tied or {})
        self._tensors = MemberTensors(members, memory)
        self.streamed = self._tensors.streamed
        self.rows = [row for row in members.rows if row.action == "merge"]
        owners = [row.name for row in self.rows if row.name not in self._tied]
        numbers = {name: number for number, name in enumerate(owners)}
        self._blocks = {row.name: numbers[self._tied.get(row.name, row.name)] for row in self.rows}
        self._parts: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._members) - 1

    @property
    def tied(self) -> Mapping[str, str]:
        """Names of tensors by the names of those that are one with another."""
        return self._tied

    @property
    def blocks(self) -> int:
        """How many tensors have coefficients of their own."""
        return len(set(self._blocks.values()))

    def block(self, row: Row, blocks: int) -> int:
        """Return the number of a tensor's coefficients among so many; of one alone, those of all tensors."""
        return self._blocks[row.name] if blocks > 1 else 0

    def scaled(self, coefficients: Tensor, *, rounded: bool = False) -> dict[str, Tensor]:
        """Return the tensors of the scaled model, in float32.

        Args:
            coefficients: [task vectors, tensors or 1, parts].
            rounded: Whether they are rounded as the output is.
        """
        found = {}
        for row, base, vectors in self._stream():
            own = coefficients[:, self.block(row, coefficients.shape[1])]
            total = self._times(vectors[0], own[0], row)
            for vector, numbers in zip(vectors[1:], own[1:], strict=True):
                total += self._times(vector, numbers, row)
            total += base
            found[row.name] = (total.to(output_type(row)) if rounded else total).float()
        return found

    def derivative(self, gradient: Mapping[str, Tensor], shape: Sequence[int]) -> Tensor:
        """Return the derivative of a loss by the coefficients [task vectors, tensors or 1, parts], in float64.

        Args:
            gradient: Of the loss by the tensors of the scaled model; those without one have no say.
            shape: Of the coefficients.
        """
        import torch

        found = torch.zeros(tuple(shape), dtype=torch.float64)
        for row, _, vectors in self._stream():
            if row.name in gradient:
                slope = gradient[row.name].double().flatten()
                sums = [self._inner(slope, vector.double().flatten(), row, shape[2]) for vector in vectors]
                found[:, self.block(row, shape[1])] += torch.stack(sums)
        return found

    def _stream(self) -> Iterator[tuple[Row, Tensor, list[Tensor]]]:
        """Yield every scaled tensor of the base, with the task vectors of all models."""
        for index, _, (base, *models) in self._tensors.rows():
            row = self._members.rows[index]
            if row.action == "merge":
                yield row, base, [model - base for model in models]

    def _times(self, vector: Tensor, numbers: Tensor, row: Row) -> Tensor:
        """Return a task vector times the coefficients of its parts, in place."""
        import torch

        if len(numbers) == 1:
            vector *= numbers[0].item()
            return vector
        chosen = torch.from_numpy(self._part(row, len(numbers))).int()
        vector *= numbers[chosen].to(vector.dtype).reshape(vector.shape)
        return vector

    def _inner(self, slope: Tensor, vector: Tensor, row: Row, parts: int) -> Tensor:
        """Return the inner products within the parts [parts]."""
        import numpy as np
        import torch

        if parts == 1:
            return torch.dot(slope, vector)[None]
        products = (slope * vector).numpy()
        return torch.from_numpy(np.bincount(self._part(row, parts), weights=products, minlength=parts))

    def _part(self, row: Row, parts: int) -> Any:
        if row.name not in self._parts:
            elements = 1
            for size in row.shape:
                elements *= size
            self._parts[row.name] = parts_of(self.parts_name(row), elements, parts, self._seed)
        return self._parts[row.name]

    def parts_name(self, row: Row) -> str:
        """Return the name that a tensor's parts follow from: the first model's, of the tensor that it is tied to."""
        owner = self._tied.get(row.name, row.name)
        return self.name_in(0, next(one for one in self.rows if one.name == owner))

    def name_in(self, model: int, row: Row) -> str:
        """Return what a model, the base not counted, calls a tensor."""
        return self._members.name_in(model + 1, row)
