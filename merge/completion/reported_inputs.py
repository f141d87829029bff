"""Was something learned from the inputs of a test, or from items that the report is about?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..alignment.declared import STRAIGHT_THROUGH
from ..planning.pending import is_unaligned
from ..recipe import Alignment, Recipe
from .places import all_models, located

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..evaluation.task import Settings


def coefficient_warnings(data: Sequence[CalibrationData], recipe: Recipe, settings: Settings) -> Iterator[str]:
    """Yield a warning for coefficients from data of a test split, and one for data that is reported on."""
    from ..reports.warnings import TEST_INPUTS

    tests = [benchmark.name for one in data for benchmark in one.benchmarks if benchmark.split == "test"]
    if tests:
        yield f"{TEST_INPUTS}: the coefficients were learned or selected on the split test of {', '.join(tests)}"
    yield from _flattered("the coefficients were found with", data, recipe, settings)


def order_warnings(recipe: Recipe, settings: Settings) -> Iterator[str]:
    """Yield a warning where orders of units are going to be found with labels of data that is reported on."""
    from ..calibration.data import read_data

    found = [model.model for model in all_models(recipe.merge) if is_unaligned(model)]
    by_labels = [one for one in found if isinstance(one, Alignment) and one.options.get("matching") == STRAIGHT_THROUGH]
    specs = dict.fromkeys(located(one.data, recipe.folder) for one in by_labels if one.data)
    data = [read_data(spec) for spec in specs]
    yield from _flattered("the orders of units were found with", data, recipe, settings)


def statistics_warnings(data: CalibrationData, recipe: Recipe, settings: Settings) -> Iterator[str]:
    """Yield a warning where BatchNorm statistics are measured on data that is reported on."""
    yield from _flattered("BatchNorm statistics were measured on", [data], recipe, settings)


def _flattered(what: str, data: Sequence[CalibrationData], recipe: Recipe, settings: Settings) -> Iterator[str]:
    from ..reports.warnings import TEST_INPUTS

    if shared := _reported(data, recipe, settings):
        yield f"{TEST_INPUTS}: {what} items of {shared}, whose scores flatter them"


def _reported(data: Sequence[CalibrationData], recipe: Recipe, settings: Settings) -> str:
    """Return the benchmarks of the report that share items with data, in words."""
    from ..evaluation.specification import read_benchmarks
    from ..search.overlap import shares_items

    own = [benchmark for one in data for benchmark in one.benchmarks]
    reported = read_benchmarks(recipe.evaluate) if own and recipe.evaluate else []
    return ", ".join(one.name for one in reported if any(shares_items(other, one, settings) for other in own))
