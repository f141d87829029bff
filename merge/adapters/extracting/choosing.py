"""Which modules get factors, which tensors are saved whole, which are left as the base has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...checkpoints.header import TensorInfo
from ...errors import MergeError, UsageError
from ...planning.names import is_tied
from ...planning.rows import Row
from .difference import Difference
from .kinds import is_head
from .module import Module, Scheme
from .request import Extraction, Selection


@dataclass
class Chosen:
    """What becomes of every tensor, as far as headers and the user tell.

    Attributes:
        modules: Layers that get factors if they differ, by a name that no other has.
        whole: Tensors that are saved whole because the user asks for that, by their names in the base or, of those that
            it lacks, in the tuned model: the tuned model's.
        left: Reason by name, of tensors that are left as the base has them because the user asks for that.
        open: Reason by name, of tensors that factors cannot hold; whether they differ is known when they were read.
        alone: Tensors that only the tuned model has, among those of `open`.
    """

    modules: dict[str, Module] = field(default_factory=dict)
    whole: dict[str, TensorInfo] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    alone: dict[str, TensorInfo] = field(default_factory=dict)


def choose(difference: Difference, extraction: Extraction, scheme: Scheme) -> Chosen:
    """Decide about every tensor of both models.

    Raises:
        UsageError: A pattern is broken, or asks for what such an adapter cannot hold.
        MergeError: The two are of different architectures, or tokens were added and nothing says what becomes of them.
    """
    if extraction.whole and not scheme.holds_whole:
        what = "an adapter of a diffusion model holds factors alone, so that --whole means nothing"
        raise UsageError(what, hint="leave it out; merge add-difference takes the whole difference")
    choosing = _Choosing(difference, extraction, scheme)
    for row in difference.plan.rows:
        if row.action != "check":
            choosing.add(row)
    choosing.add_alone(difference.alone())
    if not (choosing.found.modules or choosing.found.whole):
        what = "no layer is chosen that an adapter could hold"
        raise MergeError(what, where=extraction.tuned, hint="what do --only and --skip leave?")
    return choosing.found


class _Choosing:
    def __init__(self, difference: Difference, extraction: Extraction, scheme: Scheme) -> None:
        self._difference, self._extraction, self._scheme = difference, extraction, scheme
        self._selection = Selection(extraction)
        self.found = Chosen()

    def add(self, row: Row) -> None:
        """Decide about a tensor of the base."""
        base, tuned = self._difference.of_base(row), self._difference.of_tuned(row)
        if base is None:
            return
        layers, in_vocabulary = self._scheme.layers(row.name), self._scheme.in_vocabulary(row.name)
        wanted = [layer for layer in layers if not self._selection.is_left_out(row.name, layer.name)]
        if self._selection.is_left_out(row.name) and not wanted:
            self.found.left[row.name] = "left out by --only or --skip"
        elif tuned is None:
            self._add_lacking(row, is_layer=bool(layers) and not in_vocabulary)
        elif self._selection.is_whole(row.name) or (in_vocabulary and self._extraction.embeddings == "whole"):
            self.found.whole[row.name] = tuned
        elif in_vocabulary and self._extraction.embeddings == "skip":
            self.found.left[row.name] = "left out by --embeddings skip"
        elif tuned.shape != base.shape:
            self._add_resized(row, tuned, base, in_vocabulary=in_vocabulary)
        elif not layers or row.action != "merge":
            reason = self._scheme.why_not(row.name) if row.action == "merge" else row.reason or "no weight"
            self.found.open[row.name] = reason
        else:
            self.found.modules |= {f"{row.name}:{layer.name}": layer for layer in wanted}

    def _add_lacking(self, row: Row, *, is_layer: bool) -> None:
        """A layer that the tuned model lacks makes it another architecture; a buffer or a head does not."""
        if is_layer:
            what = f"lacks the layer '{row.name}' of {self._extraction.base}"
            hint = "is that its base? --skip 'PATTERN' leaves layers out"
            raise MergeError(what, where=self._extraction.tuned, hint=hint)
        self.found.left[row.name] = "the tuned model has none"

    def _add_resized(self, row: Row, tuned: TensorInfo, base: TensorInfo, *, in_vocabulary: bool) -> None:
        """Refuse what differs in shape, unless the user or ``--whole auto`` says what becomes of it."""
        if self._selection.is_auto:
            self.found.whole[row.name] = tuned
            return
        sizes = f"'{row.name}' is {list(tuned.shape)}, and {list(base.shape)} in {self._extraction.base}"
        if in_vocabulary and tuned.shape[1:] == base.shape[1:]:
            what = f"{sizes}: tokens were added"
            hint = "--embeddings whole saves the embeddings whole, --embeddings skip leaves the base's"
        else:
            what, hint = sizes, f"is that its base? --whole '{row.name}' saves it whole, --skip leaves the base's"
        raise MergeError(what, where=self._extraction.tuned, hint=hint)

    def add_alone(self, tensors: Mapping[str, TensorInfo]) -> None:
        """Decide about the tensors that the base lacks."""
        for name, tensor in tensors.items():
            if self._selection.is_left_out(name):
                self.found.left[name] = "left out by --only or --skip"
            elif self._selection.is_whole(name) or self._selection.is_auto:
                self._refuse_untied(name)
                self.found.whole[name] = tensor
            else:
                self.found.open[name] = "the base has none"
                self.found.alone[name] = tensor

    def _refuse_untied(self, name: str) -> None:
        """Refuse an output matrix of its own where the base has one with the embedding: it would change both."""
        if is_head(name.rpartition(".")[0]) and is_tied(self._difference.base.config):
            what = f"has an output matrix of its own, '{name}', and {self._extraction.base} ties it to the embedding"
            hint = "untie them in the base first (tie_word_embeddings), or leave it out with --skip"
            raise MergeError(what, where=self._extraction.tuned, hint=hint)
