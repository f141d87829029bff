"""A recipe that names data ▸ the same recipe with statistics files, computed from that data.

They lie in a folder beside the output, ``OUT.statistics``, and stay there: the merge can be repeated and varied with
them. What the recipe then says is an ordinary merge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.resolve import local_path
from ..errors import UsageError
from ..planning.binding import is_pending, is_seeded
from ..recipe import LayerRule, Merge, Model, Recipe
from ..registry import find_method

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from ..method import Method
    from .data import CalibrationData


@dataclass(frozen=True)
class Computing:
    """How statistics are computed.

    Attributes:
        settings: Device, items at a time, architecture by ``--model``; told of progress.
        force: Whether statistics of an earlier run are computed again.
        resume: Whether an unfinished run is continued.
        note: Told what happens.
    """

    settings: Settings
    force: bool = False
    resume: bool = False
    note: Callable[[str], None] = print


def statistics_folder(recipe: Recipe) -> Path:
    """Return where the statistics of a recipe's output lie."""
    out = local_path(recipe.output.path or Path("merged"), recipe.folder)
    return out.with_name(f"{out.name}.statistics")


def complete(recipe: Recipe, computing: Computing) -> Recipe:
    """Compute what is missing and return the recipe with it.

    Raises:
        UsageError: Data and models do not fit, or statistics are in the way.
        MergeError: A model cannot be run.
    """
    merge, keep, remarks = _Completion(recipe, computing).complete(recipe.merge, "")
    seed = recipe.seed if is_seeded(merge) else 0
    return replace(recipe, merge=merge, seed=seed, keep=(*recipe.keep, *keep), remarks=(*recipe.remarks, *remarks))


def read_all(recipe: Recipe) -> None:
    """Read the descriptions of all data that a recipe names, so that what is wrong with them is said first.

    Raises:
        UsageError: One is wrong, or not there.
    """
    from .data import read_data

    for model in _models(recipe.merge):
        if model.data:
            read_data(located(model.data, recipe.folder))


def items_of(recipe: Recipe) -> int | None:
    """Return how many items the models are run on at most, for a progress bar; None where blocks decide about that."""
    merges = [recipe.merge, *(model.model for model in _models(recipe.merge) if isinstance(model.model, Merge))]
    learning = [merge for merge in merges if find_method(merge.method).statistics]
    if any(find_method(merge.method).sequential for merge in learning):
        return None
    return sum(calibration_options(merge).samples * len(merge.models) for merge in learning)


def located(spec: str, folder: Path | None) -> str:
    """Return a name of data whose paths count from a folder, as one from the current folder."""
    whole = (folder or Path()) / spec
    if whole.exists():
        return str(whole)
    parts = [part.strip() for part in spec.split(",")]
    return ",".join(str(path) if (path := (folder or Path()) / part).exists() else part for part in parts)


class _Completion:
    """The statistics of one recipe."""

    def __init__(self, recipe: Recipe, computing: Computing) -> None:
        self._recipe, self._computing = recipe, computing
        self._folder = statistics_folder(recipe)
        self._settings = replace(computing.settings, seed=recipe.seed)

    def complete(self, merge: Merge, path: str) -> tuple[Merge, tuple[str, ...], tuple[str, ...]]:
        """Return a merge with all statistics, what its base decides alone, and what a card says of it."""
        models = tuple(self._inner(model, f"{path}{number}-") for number, model in enumerate(merge.models, start=1))
        merge = replace(merge, models=models)
        method = find_method(merge.method)
        if not is_pending(merge):
            return merge, (), ()
        if method.sequential:
            return self._sequential(merge, method, path)
        models = tuple(
            self._with_statistics(model, merge, method, f"{path}{number}") for number, model in enumerate(models, 1)
        )
        return replace(merge, models=models, calibration={}), (), ()

    def _inner(self, model: Model, path: str) -> Model:
        if not isinstance(model.model, Merge) or not is_pending(model.model):
            return model
        merge, keep, _ = self.complete(model.model, path)
        rules = tuple(LayerRule(pattern, keep=True) for pattern in keep)
        return replace(model, model=replace(merge, layers=(*rules, *merge.layers)))

    def _with_statistics(self, model: Model, merge: Merge, method: Method, label: str) -> Model:
        if method.statistics in model.statistics or model.data is None:
            return model
        path = self._path(method.statistics, label)
        compute = _compute(method.statistics)
        store = self._store(path)
        with store:
            candidate, data = self._candidate(model), self._data(model)
            self._computing.note(f"{method.statistics} of {candidate.name} from {data.name}: {path}")
            compute(candidate, data, calibration_options(merge), self._settings, store)
        for note in store.notes:
            self._computing.note(note)
        return replace(model, statistics={method.statistics: str(path)}, data=None)

    def _sequential(self, merge: Merge, method: Method, label: str) -> tuple[Merge, tuple[str, ...], tuple[str, ...]]:
        from .sequential.gather import gather

        if merge.layers:
            what = f"{method.name} goes through whole blocks, so it takes no layer rules"
            raise UsageError(
                what, where=merge.layers[0].where, hint=f"vary a merge by {method.merged_by} with its files"
            )
        outs = [self._path("gram", f"{label}{number}") for number in range(1, len(merge.models) + 1)]
        options = _method_options(merge, method)
        found = gather(
            [self._location(model) for model in merge.models],
            self._location(merge.base) if merge.base else None,
            [self._data(model) for model in merge.models],
            calibration_options(merge),
            options.off_diagonal,
            options.weight,
            self._settings,
            outs,
            region=options.region,
            force=self._computing.force,
        )
        models = tuple(
            replace(model, statistics={"gram": str(out)}, data=None)
            for model, out in zip(merge.models, outs, strict=True)
        )
        for note in found.notes:
            self._computing.note(note)
        merged = replace(merge, method=method.merged_by, models=models, calibration={})
        kept = tuple(f"/^{re.escape(name)}$/" for name in found.from_base)
        return merged, kept, (f"{method.name}: Gram matrices gathered block by block on merged blocks",)

    def _path(self, kind: str, label: str) -> Path:
        return self._folder / f"{kind}-{label}.safetensors"

    def _store(self, path: Path) -> Any:
        from .storing import Store

        path.parent.mkdir(parents=True, exist_ok=True)
        return Store(path, force=self._computing.force, resume=self._computing.resume)

    def _data(self, model: Model) -> CalibrationData:
        from .data import read_data

        return read_data(located(model.data or "", self._recipe.folder))

    def _location(self, model: Model) -> str:
        if not isinstance(model.model, str):
            hint = "compute its statistics first: merge calibrate"
            raise UsageError("statistics are computed of models in files only", where=model.where, hint=hint)
        path = local_path(model.model, self._recipe.folder)
        return str(path) if path.exists() else model.model

    def _candidate(self, model: Model) -> Candidate:
        from ..evaluation.locate import locate, merge_in_memory
        from ..plan import make_plan

        if not isinstance(model.model, Merge):
            return locate(self._location(model)).load()
        plan = make_plan(Recipe(model.model, seed=self._recipe.seed, folder=self._recipe.folder))
        try:
            return merge_in_memory(plan, "the nested merge")
        finally:
            plan.close()


def _compute(kind: str) -> Callable[..., Any]:
    if kind == "gram":
        from .gram import compute_gram

        return compute_gram
    from .fisher import compute_fisher

    return compute_fisher


def calibration_options(merge: Merge) -> Any:
    """Return the options of calibration with every default filled in."""
    declared = find_method(merge.method).calibration
    return declared(**_checked(merge.calibration, declared.declarations))


def _method_options(merge: Merge, method: Method) -> Any:
    """Return a method's options, the same for all tensors."""
    declared = method.options.declarations
    count = len(merge.models)
    found = _checked(merge.options, declared)
    for name, declaration in declared.items():
        if declaration.per_model:
            default = declaration.default(count) if callable(declaration.default) else declaration.default
            found[name] = tuple(model.options.get(name, default) for model in merge.models)
    return method.options(**found)


def _checked(given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: declared[name].check(value, None) for name, value in given.items()}


def _models(merge: Merge) -> Sequence[Model]:
    """Return the models of a merge and of all those nested in it."""
    found: list[Model] = []
    for model in merge.models:
        found.append(model)
        if isinstance(model.model, Merge):
            found += _models(model.model)
    return found
