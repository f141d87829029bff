r"""Mixture of experts by averaged outputs: every expert runs, and their logits are averaged.

Growing Transformers, arXiv:2507.07129. With z_i the logits of expert i, at every position:

    z = sum_i w_i z_i                              (`combine` ``logits``)
    z = log sum_i w_i softmax(z_i)                 (``probs``)
    z = sum_i w_i log softmax(z_i)                 (``logprobs``)

The softmax of averaged logits is the normalised geometric mean of the experts' distributions; with weights that sum
to 1 its loss is never above the mean of the experts' losses. Nothing is routed, gated or learned. It costs what all
experts cost together.

Use it as the yardstick of every merge, or where experts do not merge at all: averaged outputs need no common start,
only the same classes or tokens.

Not where one model's cost is the limit: all experts run for every sample. The loss is never above the experts' mean,
but nothing says that it is below the best one's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ...options import Options, option
from ..combine import Combination
from ..rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...checkpoints.checkpoint import FileCheckpoint
    from ...evaluation.outcome import Outcome
    from ...evaluation.task import Settings, Task
    from ..bundle import Bundle
    from ..language_members import LanguageMembers


class MoeOptions(Options):
    """Options of the mixture."""

    combine: str = option("logits", "What is averaged.", choices=("logits", "probs", "logprobs"))
    weight: tuple[float, ...] = option(
        lambda members: 1 / members, "Weight of each expert.", minimum=0, per_model=True, default_text="1 / experts"
    )
    temperature: tuple[float, ...] = option(
        1.0, "What the logits of an expert are divided by.", above=0, per_model=True, shared=True
    )
    align: str = option(
        "exact",
        "Language models: vocabularies must be the same, or the tokens that all have count, or those that any has.",
        choices=("exact", "intersection", "union"),
    )

    @property
    def combination(self) -> Combination:
        """How the experts' outputs become one."""
        return Combination(self.combine, self.weight, self.temperature)


class Moe(Rule):
    """Experts whose logits, or probabilities, are averaged."""

    options = MoeOptions

    def check(self, options: MoeOptions, members: int, place: Callable[[str], str | None]) -> None:
        """Refuse a union of vocabularies over anything but probabilities, and weights without any."""
        if options.align == "union" and options.combine != "probs":
            what = "a union of vocabularies needs probabilities: a token that an expert lacks has the probability 0"
            raise UsageError(what, where=place("align"), hint="give --combine probs, or --align intersection")
        if not any(options.weight):
            raise UsageError("all weights are 0", where=place("weight"))

    def examine(self, members: Sequence[FileCheckpoint], options: MoeOptions) -> LanguageMembers | None:
        """Check language models by their configurations and tokenizers."""
        from ..language_members import language_members

        return language_members(members, options)

    def furnish(self, folder: Path, found: LanguageMembers | None, options: MoeOptions) -> None:
        """Make the bundle of language models a folder that transformers reads."""
        from ..language_folder import furnish

        if found is not None:
            furnish(folder, found, options)

    def remarks(self, members: Sequence[FileCheckpoint]) -> list[str]:
        """Say how language models are loaded."""
        from ..language_folder import how_to_load

        return how_to_load(members)

    def evaluate(self, bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
        """Evaluate the mixture with its experts beside it."""
        from ..evaluating.mixed import evaluate_mixture

        return evaluate_mixture(bundle, task, settings)
