"""The members of a soup as streams of tensors, by the rules of the planner: who is averaged and what is copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import MergeError
from ..evaluation.candidate import Candidate, read_candidate, read_tensor
from ..evaluation.networks.wide import is_wide
from ..plan import Plan, folder_beside
from ..program import sources

if TYPE_CHECKING:
    from torch import Tensor, dtype

    from ..checkpoints.checkpoint import Source
    from ..planning.rows import Row


class Members:
    """The models of a planned soup.

    Args:
        plan: A uniform soup over all of them, still open.

    Attributes:
        rows: The tensors that are averaged, each of which every model has.

    Raises:
        MergeError: A tensor is averaged over some of the models only.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._positions = [plan.positions[id(model)] for model in plan.recipe.merge.models]
        self.rows = [row for row in plan.rows if row.action in ("merge", "average")]
        self._copied = [row for row in plan.rows if row.action == "copy"]
        for row in self.rows:
            if any(row.tensors[position] is None for position in self._positions):
                what = f"'{row.name}' is not in every model, so candidates would average different models"
                raise MergeError(what, hint="leave it out or take it from the base: --missing skip, --missing base")

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def sources(self) -> list[Source]:
        """The opened models, in their order."""
        return [self._plan.sources[position] for position in self._positions]

    @property
    def nbytes(self) -> int:
        """Bytes of the averaged tensors of one model."""
        return sum(tensor.nbytes for row in self.rows if (tensor := row.tensors[self._positions[0]]))

    def read(self, number: int, row: Row) -> Tensor:
        """Return one tensor of one model, as it is stored."""
        position = self._positions[number]
        return read_tensor(self._plan.sources[position], row.tensors[position])

    def name_in(self, number: int, row: Row) -> str:
        """Return what one model calls a tensor."""
        info = row.tensors[self._positions[number]]
        assert info is not None  # noqa: S101 -- checked for all models at the start
        return info.name

    def stream(self, number: int) -> Iterator[tuple[Row, Tensor]]:
        """Yield every averaged tensor of one model."""
        for row in self.rows:
            yield row, self.read(number, row)

    def copied(self) -> dict[str, Tensor]:
        """Return the tensors that are not averaged, in the output's type."""
        found = {}
        for row in self._copied:
            position = next(sources(row.expression)) if row.expression else self._plan.reference
            tensor = read_tensor(self._plan.sources[position], row.tensors[position])
            found[row.name] = tensor.to(output_type(row))
        return found

    def alone(self, number: int) -> tuple[Candidate, str]:
        """Return one model by the same rules as an average of several, and the content id of its checkpoint."""
        position = self._positions[number]
        source = self._plan.sources[position]
        whole = read_candidate(source, source.location)
        averaged = {}
        for row in self.rows:
            info = row.tensors[position]
            assert info is not None  # noqa: S101 -- checked for all models at the start
            averaged[row.name] = whole.tensors[info.name].to(output_type(row))
        return self.candidate(source.location, averaged, [whole.identity]), whole.identity

    def candidate(self, name: str, averaged: dict[str, Tensor], identity: Sequence[str]) -> Candidate:
        """Return averaged tensors, completed by the copied ones, as a model to evaluate."""
        tensors, folder = averaged | self.copied(), folder_beside(self._plan)
        first = self._plan.sources[self._plan.first_model]
        return Candidate(name, tensors, folder, "+".join(identity), is_wide=is_wide(first.metadata))


def output_type(row: Row) -> dtype:
    """Return the torch type of a tensor of the output."""
    from ..dtypes import torch_dtype

    return torch_dtype(row.dtype)  # type: ignore[no-any-return]


def accumulator(row: Row) -> dtype:
    """Return the type in which a tensor is summed: float32 where all models have 16 bits or less, else float64."""
    import torch

    wide = any(tensor.dtype in ("F32", "F64") for tensor in row.tensors if tensor)
    return torch.float64 if wide else torch.float32
