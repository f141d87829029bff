"""One part of a network merged: Gram matrices of every model, and what they make of its weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...arithmetic.least_squares import merge_by_grams
from ...errors import MergeError
from ..facts import CONVOLUTION, IN_OUT
from ..gram_sums import Grams, GramSums
from ..left_out import parameters_to_watch
from ..masks import Masks
from ..watch import Watch
from .candidates import Candidates, weighted_sum, write

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.task import Settings
    from ..declared import SequentialCalibration
    from .gram_files import GramFile
    from .parts import Part


@dataclass(frozen=True)
class Regression:
    """How parts are merged.

    Attributes:
        candidates: The models.
        options: Which rows count, and whether convolutions do.
        off_diagonal: Factor of the Gram matrices off their diagonals.
        settings: Told of every item that ran through a part.
        files: Where the Gram matrices of each model go.
    """

    candidates: Candidates
    options: SequentialCalibration
    off_diagonal: float
    settings: Settings
    files: Sequence[GramFile]

    def merge(self, part: Part) -> None:
        """Write merged weights into a part, and put its Gram matrices aside.

        Raises:
            MergeError: Its inputs are not finite, or its Gram matrices determine nothing.
        """
        self._by_block(part) if self.options.granularity == "block" else self._by_matrix(part)

    def average(self, places: Mapping[str, Tensor]) -> None:
        """Write the models' averages into places; there is nothing to gather."""
        for name in places:
            write(places, {name: self.candidates.average(name)})

    def _by_block(self, part: Part) -> None:
        """Do as the authors do: each model's whole part runs on what the merged parts before put out."""
        numbers = range(len(self.candidates))
        tensors = [self.candidates.read(model, part.places) for model in numbers]
        grams = []
        for model in numbers:
            write(part.places, tensors[model])
            grams.append(self._gather(part, model, part.places))
        write(part.places, dict(self._merged(part.places, tensors, grams)))

    def _by_matrix(self, part: Part) -> None:
        """Merge matrix by matrix, each on what the merged network before it puts out; not the authors' way.

        Matrices that share an input are merged together. Those that a first batch does not reach are averaged.
        """
        self.average(part.places)
        numbers = range(len(self.candidates))
        for names in self._in_order(part):
            places = {name: part.places[name] for name in names}
            grams = [self._gather(part, model, places) for model in numbers]
            tensors = [self.candidates.read(model, names) for model in numbers]
            write(places, dict(self._merged(places, tensors, grams)))

    def _in_order(self, part: Part) -> list[list[str]]:
        """Return the matrices of a part in the order in which they run, those that share an input together."""
        import torch

        sums = GramSums(self.candidates.location(0))
        with torch.no_grad(), self._watch(part.places, sums):
            next(part.batches(0)).run()
            sums.end_batch()
        owners = {name: sums.aliases.get(name, name) for name in sums.layouts}
        return [[name for name in owners if owners[name] == owner] for owner in dict.fromkeys(owners.values())]

    def _gather(self, part: Part, model: int, places: Mapping[str, Tensor]) -> Grams:
        """Return the Gram matrices of these places over a model's data, with the part's present weights."""
        import torch

        sums = GramSums(self.candidates.location(model))
        with torch.no_grad(), self._watch(places, sums) as watch:
            for running in part.batches(model):
                sums.masks = running.masks if self.options.padding == "masked" else Masks()
                running.run()
                sums.end_batch()
                self.settings.advance(running.items)
        return self.files[model].add(sums.grams(left_out=watch.embeddings))

    def _watch(self, places: Mapping[str, Tensor], sums: GramSums) -> Watch:
        return Watch(parameters_to_watch(places), sums.observe, convolutions=self.options.convolutions)

    def _merged(
        self, names: Collection[str], tensors: Sequence[Mapping[str, Tensor]], grams: Sequence[Grams]
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the merged tensors: by regression where every model has a Gram matrix, else the average."""
        for name in names:
            own = [each[name] for each in tensors]
            found = [each.means.get(each.aliases.get(name, name)) for each in grams]
            if any(gram is None for gram in found):
                yield name, weighted_sum(own, self.candidates.weights)
            else:
                yield name, self._solved(name, own, found, grams[0].layouts[name])

    def _solved(self, name: str, own: Sequence[Tensor], grams: Sequence[Any], layout: str) -> Tensor:
        import array_api_compat.torch as xp

        matrices = [_matrix(tensor, layout).to(gram.device) for tensor, gram in zip(own, grams, strict=True)]
        try:
            terms = zip(self.candidates.weights, grams, matrices, strict=True)
            solved: Tensor = merge_by_grams(terms, self.off_diagonal, xp).matrix
        except ValueError as error:
            raise MergeError(str(error), where=name) from None
        return (solved.T if layout == IN_OUT else solved).reshape(own[0].shape)


def _matrix(tensor: Tensor, layout: str) -> Tensor:
    """Return a weight as [outputs, inputs]."""
    if layout == IN_OUT:
        return tensor.T
    return tensor.flatten(1) if layout == CONVOLUTION else tensor
