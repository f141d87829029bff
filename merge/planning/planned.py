"""A plan: everything that headers can tell about a merge. Dry run, progress total and ledger are this object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..checkpoints.beside import AS_IT_IS, Beside
from ..checkpoints.checkpoint import Source
from ..checkpoints.derived import TensorKey, stored_sizes
from ..errors import UsageError
from ..inherited import inherited
from ..recipe import Alignment, Model, Recipe
from .adjustment import MODEL, Adjustment
from .bound import Bound, BoundCall
from .layout import OutputFile
from .learned import Learned, check_models
from .pending import is_pending
from .rows import Row, Skip
from .widening import check_members


@dataclass(frozen=True)
class Plan:
    """A merge, decided tensor by tensor.

    Attributes:
        sources: The opened models, each once.
        roles: The role of each source in words: ``base``, ``model 1`` …
        reference: Position of the source that decides names, types and order.
        first_model: Position of the source whose metadata the output keeps.
        rows: What is computed; rows with an output in its order, then rows that are only read.
        skips: Input tensors that are not in the output, with reasons.
        files: The output's files.
        warnings: What the user should look at.
        notes: What was resolved or chosen.
        positions: Position among the sources of every leaf model of the recipe, by its identity in memory.
        learned: The statistics files among the sources.
        adjustment: What is done to the one model that is copied, if anything is.
        beside: What becomes of the files that are copied from the reference's folder.
        same: Tensors that are read under another source, which passes them on as they are, and as what.
        again: Makes the same plan once more, in another process too.
    """

    recipe: Recipe
    bound: Bound
    sources: list[Source]
    roles: list[str]
    reference: int
    first_model: int
    rows: list[Row]
    skips: list[Skip]
    files: list[OutputFile]
    warnings: list[str]
    notes: list[str]
    positions: dict[int, int]
    learned: Learned
    adjustment: Adjustment | None = None
    beside: Beside = AS_IT_IS
    same: Mapping[TensorKey, TensorKey] = field(default_factory=dict)
    again: Callable[[], Plan] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether statistics are still to be computed from data, without which the plan cannot be run."""
        return isinstance(self.bound, BoundCall) and is_pending(self.recipe.merge)

    def refuse_pending(self) -> None:
        """Refuse a recipe whose statistics are still to be computed, where nothing computes them.

        Raises:
            UsageError: Saying how to get them.
        """
        if self.is_pending:
            hint = "compute them with merge calibrate, and name the files in the recipe in place of the data"
            raise UsageError("the recipe's statistics are still to be computed from data", hint=hint)

    def position_of(self, model: Model, kind: str = "") -> int:
        """Return the position among the sources of a leaf model of the recipe, or of its statistics of a kind."""
        if kind == "permutations" and isinstance(model.model, Alignment):
            return self.positions[id(model.model.permutations)]
        return self.positions[id(model.statistics[kind]) if kind else id(model)]

    def check_identities(self, input_ids: Sequence[str]) -> None:
        """Refuse statistics that were computed from other models, once the models have been read.

        Raises:
            MergeError: Naming file and model.
        """
        check_models(self.learned, self.bound, dict(enumerate(input_ids)))
        check_members(self.sources, dict(enumerate(input_ids)))
        if self.adjustment is not None:
            self.adjustment.check_model(input_ids[MODEL], self.sources[MODEL].location)

    @property
    def bytes_read(self) -> int:
        """Bytes of the inputs as they are merged, each read once by the last pass."""
        aside = sum(tensor.nbytes for row in self.rows for _, tensor in row.asides)
        return aside + sum(tensor.nbytes for row in self.rows for tensor in row.tensors if tensor)

    @property
    def bytes_stored(self) -> int:
        """Bytes that are read for them: fewer where 8-bit floats become wider ones."""
        total = 0
        for number, source in enumerate(self.sources):
            size = stored_sizes(source)
            total += sum(size(tensor) for row in self.rows if (tensor := row.tensors[number]) is not None)
        return total + sum(tensor.nbytes for row in self.rows for _, tensor in row.asides)

    @property
    def bytes_written(self) -> int:
        """Bytes of the output's tensors."""
        return sum(file.nbytes for file in self.files)

    @property
    def counts(self) -> Counter[str]:
        """Number of output tensors per action."""
        return Counter(row.action for row in self.rows if row.action != "check")

    @property
    def metadata_notes(self) -> list[str]:
        """What is to be said of the metadata that an output of this plan takes over."""
        return inherited(self.recipe, self.bound, self.sources, self.first_model).notes

    def close(self) -> None:
        """Close the sources."""
        for source in self.sources:
            source.close()
