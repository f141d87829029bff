"""The contract of a merge method: pure arithmetic over matched tensors, with declared options.

A method knows no file, no command line and no progress bar. It says what it takes, in which portions, and which
reductions over whole tensors it must know first; the engine reads, converts, subtracts the base, calls
`Method.merge` on one portion after the other, adds the base back, rounds once and writes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from .described import Described
from .errors import UsageError
from .options import Options
from .reduction import Array, Reduction

Access = Literal["flat", "rows", "whole"]
Takes = Literal["weights", "task_vectors", "either", "base_and_weights"]


class Place(NamedTuple):
    """Where a tensor lies in its stack of blocks.

    Attributes:
        depth: 0 in the first block, 1 in the last; None outside every block.
        after: Whether the tensor is outside and used after the last block: a final norm, projection or head.
    """

    depth: float | None = None
    after: bool = False


NOWHERE = Place()


class Context(Protocol):
    """What the engine tells a method about the portion that it is called with."""

    @property
    def xp(self) -> Any:
        """The array API namespace of the arrays: numpy's or torch's."""

    @property
    def place(self) -> Place:
        """Where the tensor lies in its stack, for methods that set `uses_place`."""

    def result(self, reduction: str) -> Any:
        """Return the outcome of a finished reduction by its name; its class says what that is."""

    def largest(self, array: Array, reduction: str, position: int, border: int = 0) -> Array:
        """Return the mask of the entries that a `Largest` counts.

        Args:
            array: The array as the reduction saw it.
            reduction: Name of the reduction.
            position: Position of the array among those that the reduction saw.
            border: Which of the reduction's counts is meant.
        """

    def keep_largest(self, array: Array, reduction: str, position: int, border: int = 0) -> None:
        """Multiply by 0, in place, the entries that a `Largest` does not count; see `largest`."""

    def drop_largest(self, array: Array, reduction: str, position: int, border: int = 0) -> None:
        """Multiply by 0, in place, the entries that a `Largest` counts; see `largest`."""

    def agreeing_sum(self, arrays: Sequence[Array], weights: Sequence[float], *, normalize: bool) -> Array:
        """Return the sum of the weighted arrays that agree in sign with their majority; they are overwritten.

        See `merge.arithmetic.consensus.agreeing_sum`, of which this is a faster form where there is one.
        """

    def uniform(self, like: Array, model: int) -> Array:
        """Return random float32 numbers in [0, 1), of an array's shape.

        They depend on seed, output name, the call's place in the recipe, model and position in the tensor; so on no
        chunk, thread or other tensor.
        """

    def parts(self, like: Array, count: int, seed: int) -> Array:
        """Return for each entry, in an array's shape, in which of so many random parts of its tensor it lies: from 0.

        That depends on the seed given, the tensor's name and the entry's position; so on no place in the recipe, no
        other seed, chunk or thread. With statistics the name is the one that the first model's have it under.
        """

    def ranks(self, array: Array) -> Array:
        """Return each entry's rank by magnitude within its row: 0 for the smallest, the later first among equals."""

    @property
    def has_statistics(self) -> bool:
        """Whether this tensor has statistics of every model."""

    @property
    def is_counted(self) -> bool:
        """Whether this tensor's statistics are its own, and not those of a tensor that it is tied to."""

    @property
    def layout(self) -> str:
        """How the tensor forms a matrix: ``out_in``, ``in_out`` or ``convolution``; only with Gram matrices."""

    def statistic(self, model: int) -> Array:
        """Return what the statistics of a model have for this tensor; a copy.

        Fisher information comes in the shape of the arrays at hand, a Gram matrix [inputs, inputs] as a whole, and
        coefficients as a whole [parts].
        """

    def record(self, **facts: Any) -> None:
        """Note numbers or texts about this tensor for the ledger; only where the portion is a whole tensor."""


class Method(Described, ABC):
    """Base class of every method. The module's name is the method's name and its command's.

    Class attributes:
        options: The declaration of its options.
        takes: ``weights`` hands in the models' tensors; ``task_vectors`` their differences from the base, and
            the outcome is added to the base; ``either`` the one where a base is given and the other where none is;
            ``base_and_weights`` the base's tensor, then the models', and the outcome stands for itself.
        minimum_models, maximum_models: How many models it can merge, the base not counted.
        seeded: Whether it draws random numbers.
        ordered: Whether the order of the models matters.
        modifier: Whether it changes the outcome of another method; its reductions then see that outcome's task
            vector first and the models' own task vectors after it.
        uses_place: Whether it asks for `Context.place`.
        share_option: The option that says how far to go towards the last model, for a method without weights.
        strategies: Ways besides the plain one in which ``--strategy`` finds its weights with held-out data.
        needs_all: Whether it cannot merge a tensor that only some of the models have. That is never asked of task
            vectors: an absent one is 0.
        data_use: Which data it consumes: ``none``, ``unlabeled``, ``labels`` or ``held-out``. What statistics files say
            of themselves is added to it.
        statistics: The kind of statistics that it needs of every model: ``fisher``, ``gram``, ``coefficients``, or
            nothing. A tensor that no file has any of is handed in as one dimension, whatever `access` says.
        calibration: The declaration of the options with which these are computed from data.
        sequential: Whether they depend on merged blocks, so that they are computed for all models at once; the merge
            then is one by `merged_by` with these statistics.
        learns_together: Whether they are learned for all models at once, from all of the data. Its command then takes
            the base first, and the models after ``--task-vectors``.
        aligns: Whether the models after the first are brought into its order of units first; the merge then is one by
            `merged_by` of the models so aligned.
        assembles: Whether every tensor of the outcome is taken from one of the models and nothing is computed; `merge`
            is then not called.
        partial_statistics: Whether a tensor may have statistics of some models only; then none of them count.
        selective: Whether it leaves some tensors as the first model has them, which `leaves` says.
        widens: Whether its outcome has more units than its two models: a source is made of both and of their
            statistics, which has the outcome's shapes, and `merge` is called with that one's tensors alone.
    """

    options: ClassVar[type[Options]] = Options
    takes: ClassVar[Takes] = "weights"
    minimum_models: ClassVar[int] = 1
    maximum_models: ClassVar[int | None] = None
    seeded: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    modifier: ClassVar[bool] = False
    uses_place: ClassVar[bool] = False
    share_option: ClassVar[str] = ""
    strategies: ClassVar[tuple[str, ...]] = ()
    needs_all: ClassVar[bool] = False
    data_use: ClassVar[Literal["none", "unlabeled", "labels", "held-out"]] = "none"
    statistics: ClassVar[Literal["", "fisher", "gram", "coefficients", "joint"]] = ""
    calibration: ClassVar[type[Options]] = Options
    sequential: ClassVar[bool] = False
    learns_together: ClassVar[bool] = False
    aligns: ClassVar[bool] = False
    merged_by: ClassVar[str] = ""
    assembles: ClassVar[bool] = False
    partial_statistics: ClassVar[bool] = False
    selective: ClassVar[bool] = False
    widens: ClassVar[bool] = False

    @property
    def needs_base(self) -> bool:
        """Whether it cannot do without a base."""
        return self.takes in {"task_vectors", "base_and_weights"}

    def reads_base(self, *, given: bool) -> bool:
        """Tell whether the base's values enter the outcome."""
        return self.needs_base or (self.takes == "either" and given)

    def check(self, options: Any, models: int) -> None:
        """Refuse options that are sound one by one but not together.

        Raises:
            UsageError: With what is wrong and what to do.
        """

    def asks_place(self, given: Mapping[str, Any]) -> bool:
        """Tell whether these options, as they were given, make it ask for `Context.place`."""
        return self.uses_place

    def leaves(self, name: str, shape: Sequence[int], options: Any) -> bool:
        """Tell whether a tensor stays as the first model has it; asked of methods that set `selective`."""
        return False

    def check_rows(self, options: Any, inputs: int, rows: int) -> None:
        """Refuse Gram matrices of so many inputs that are means over so few rows, those of all models together.

        Raises:
            UsageError: They determine nothing, with these options.
        """

    def for_present(self, options: Any, present: Sequence[int]) -> Any:
        """Return the options for a tensor that only the models at these positions have, where it takes weights.

        Per-model values still are those of all models here. Those of absent models are left out afterwards, and
        `weight` is rescaled to the same sum.

        Raises:
            UsageError: When it cannot merge what these models have.
        """
        if self.needs_all:
            what = f"{self.name} needs every merged tensor in all models"
            raise UsageError(what, hint="choose base or skip instead of average-present")
        return options

    def shares(self, options: Any) -> Sequence[float] | None:
        """Return each model's share in BatchNorm statistics, which are averaged whatever the method; None: equal ones.

        They need not sum to 1. With a number more than there are models, the first is the share of the base. Where
        one is below 0, equal ones count, since no variance is.
        """
        return getattr(options, "weight", None)

    def access(self, options: Any) -> Access:
        """Return which portions it must be called with.

        ``flat``: any contiguous entries, as one dimension. ``rows``: whole rows along the last axis, as two
        dimensions; a tensor of one dimension is one row. ``whole``: the tensor in its shape.
        """
        return "flat"

    def reductions(self, options: Any) -> Sequence[Reduction]:
        """Return what must be known of whole tensors before `merge` can be called; later ones may use earlier ones."""
        return ()

    def remarks(self, options: Any, context: Context) -> Sequence[str]:
        """Return what the user should know of the finished reductions over the checkpoint, before anything is merged.

        Raises:
            MergeError: When they show that the models cannot be merged.
        """
        return ()

    @abstractmethod
    def merge(self, arrays: Sequence[Array], options: Any, context: Context) -> Array:
        """Merge one portion.

        Args:
            arrays: One array per model, all of one shape and of the accumulator's type. They belong to this call
                and may be overwritten.
            options: An instance of the method's options, resolved to this tensor's values.
            context: The namespace of the arrays and the outcome of the reductions.

        Returns:
            An array of the same shape and type; one of the inputs, overwritten, is the cheapest.
        """


def refuse_zero_sum(weights: Sequence[float], *, normalize: bool) -> None:
    """Refuse weights that cannot be divided by their sum where that is asked for.

    Raises:
        UsageError: When they sum to 0, or to more than a number can hold.
    """
    if normalize and sum(weights) == 0:
        raise UsageError("the weights sum to 0 and cannot be normalized", hint="give weights that do not cancel")
    if normalize and not math.isfinite(sum(weights)):
        raise UsageError("the weights sum to infinity and cannot be normalized", hint="give smaller weights")


class WeightedSum(Method):
    """Base class of methods whose outcome is a weighted sum of the inputs: only the coefficients are theirs."""

    @abstractmethod
    def coefficients(self, options: Any, context: Context) -> Sequence[float]:
        """Return the factor of each input, the same for all portions of a tensor."""

    def merge(self, arrays: Sequence[Array], options: Any, context: Context) -> Array:
        """Return sum_i c_i x_i, multiplied then added in the order of the models."""
        first, *others = self.coefficients(options, context)
        total = arrays[0]
        total *= first
        for array, coefficient in zip(arrays[1:], others, strict=True):
            array *= coefficient
            total += array
        return total
