"""What ``merge search`` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, suggest

if TYPE_CHECKING:
    from ..distributed.spreading import Spreading
    from .flags import MergeFlags


@dataclass(frozen=True)
class SearchRequest:
    """The flags of the search as given; None where a default counts."""

    recipes: list[Path]
    settings: list[str] | None
    benchmark: list[str] | None
    report_benchmark: list[str] | None
    metric: str | None
    trials: int | None
    sampler: str | None
    search_seed: int
    processes: int | None
    trial_threads: int
    trials_file: Path | None
    recipe_out: Path | None
    architecture: str | None
    batch_size: int

    def spreading(self, flags: MergeFlags) -> Spreading:
        """Return who carries out the trials: the processes of --processes, else those that share all of the work."""
        from ..distributed.spreading import Spreading

        whole = flags.spreading
        return Spreading(self.processes or whole.workers, whole.engine, whole.address, self.trial_threads)

    @property
    def recipe(self) -> Path:
        """The recipe."""
        return self.recipes[0]

    @property
    def kept_in(self) -> Path:
        """The file that keeps the trials."""
        return self.trials_file or self.recipe.with_name(f"{self.recipe.stem}.trials.jsonl")

    @property
    def found_in(self) -> Path:
        """The file that gets the recipe with the numbers that were found."""
        return self.recipe_out or self.recipe.with_name(f"{self.recipe.stem}-best.yaml")

    def check(self) -> None:
        """Refuse what the flags alone show to be wrong.

        Raises:
            UsageError: For several recipes, no held-out data, or an unknown sampler.
        """
        from ..search.samplers import SAMPLERS

        if len(self.recipes) != 1:
            raise UsageError(f"a search is about one recipe, {len(self.recipes)} are given")
        if not self.benchmark:
            hint = "give --benchmark SPEC, other data than --report-benchmark"
            raise UsageError("a search needs held-out data", hint=hint)
        if self.sampler is not None and self.sampler not in SAMPLERS:
            hint = suggest(self.sampler, SAMPLERS) or f"one of {', '.join(SAMPLERS)}"
            raise UsageError(f"no sampler '{self.sampler}'", hint=hint)
