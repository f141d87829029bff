"""What is asked for: which adapters, by which method, cut down to what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...checkpoints.strength import FULL, Strength
from ...errors import UsageError
from ...method import Method
from ...planning.patterns import compile_pattern
from ...recipe import Merge, Model, Recipe
from ...registry import find_method
from ..low_rank.truncation import Truncation

SUMS = ("soup", "task-arithmetic")  # what they make of products of factors is one again
_SPECTRAL = ("iso-c", "iso-cts", "tsv-m")
ONE = "task-arithmetic"  # by which a single adapter is taken as it is


@dataclass(frozen=True)
class Request:
    """A request to join adapters.

    Attributes:
        locations: Of the adapters.
        method: Name of the method, or None for the plain average.
        options: Its options.
        own_options: The options of every adapter, in their order; empty where none has any.
        given_strengths: How much of every adapter, in their order; empty where all are taken as they were trained.
        truncation: What is kept of every module's matrix; None where nothing is cut, or as much as the method needs.
        only: Patterns of the modules that are joined; all where there are none.
        skip: Patterns of the modules that are left out.
        any_base: Whether adapters of bases with different names are joined.
        dtype: Format code of the outcome's type, or None for the widest of the adapters' types.
        seed: Of methods that draw random numbers.
        folder: Folder from which relative locations count; the current one by default.
    """

    locations: tuple[str, ...]
    method: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    own_options: tuple[Mapping[str, Any], ...] = ()
    given_strengths: tuple[Strength, ...] = ()
    truncation: Truncation | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    any_base: bool = False
    dtype: str | None = None
    seed: int = 0
    folder: Path | None = None

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """How much of every adapter is taken."""
        return self.given_strengths or (FULL,) * len(self.locations)

    @property
    def chosen(self) -> Method:
        """The method."""
        return find_method(self.method or ("soup" if len(self.locations) > 1 else ONE))

    @property
    def is_sum(self) -> bool:
        """Whether the outcome is a sum of the adapters with one factor each."""
        return self.chosen.name in SUMS

    @cached_property
    def recipe(self) -> Recipe:
        """The merge of the products."""
        own = self.own_options or ({},) * len(self.locations)
        models = tuple(Model(location, options) for location, options in zip(self.locations, own, strict=True))
        recipe = Recipe(Merge(self.chosen.name, models, options=self.options), seed=self.seed)
        return replace(recipe, output=replace(recipe.output, path=None), folder=self.folder)

    @property
    def wanted(self) -> Callable[[str], bool]:
        """What tells of a name whether it is joined."""
        only = [compile_pattern(pattern, "--only") for pattern in self.only]
        skip = [compile_pattern(pattern, "--skip") for pattern in self.skip]

        def is_wanted(name: str) -> bool:
            return (not only or any(test(name) for test in only)) and not any(test(name) for test in skip)

        return is_wanted

    def remarks(self) -> list[str]:
        """Return what is to be said of the method, where adapters are not what it is made for."""
        if self.chosen.name not in _SPECTRAL:
            return []
        what = f"{self.chosen.name} works on all singular directions of a matrix"
        return [f"{what}; of those that the adapters do not have, rounding decides"]

    def check(self) -> None:
        """Refuse a method that adapters cannot be joined by.

        Raises:
            UsageError: It needs more of models than their weights.
        """
        method = self.chosen
        needs = (
            "data or statistics of whole models"
            if method.statistics or method.sequential
            else "whole models, whose units it brings into one order"
            if method.aligns
            else "whole models, of which it takes parts"
            if method.assembles
            else ""
        )
        if needs:
            hint = "merge the models BASE+ADAPTER with it, and take the adapter of the outcome with merge extract-lora"
            raise UsageError(f"{method.name} needs {needs}", hint=hint)
