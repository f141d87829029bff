"""The statistics of a merge, computed from data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calibration.storing import AlreadyComputedError, Store
from ..recipe import Merge, Model, Recipe
from ..registry import find_method
from .checks import check_sequential
from .options import calibration_options, method_options
from .places import located, location_of, statistics_folder

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..evaluation.candidate import Candidate
    from ..method import Method
    from .computing import Computing


@dataclass(frozen=True)
class Resolved:
    """A merge of which nothing is missing.

    Attributes:
        keep: Patterns of tensors that are the base's.
        remarks: What a card says of how it was prepared.
        warnings: What the user has to be warned of.
    """

    merge: Merge
    keep: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Learning:
    """Computes statistics into the folder beside a recipe's output."""

    def __init__(self, recipe: Recipe, computing: Computing) -> None:
        self._recipe, self._computing = recipe, computing
        self._folder = statistics_folder(recipe)
        self._settings = replace(computing.settings, seed=recipe.seed)

    def one_by_one(self, merge: Merge, method: Method, label: str) -> Resolved:
        """Compute each model's statistics by themselves."""
        labels = [f"{label}{number}" for number in range(1, len(merge.models) + 1)]
        missing = [one for one, model in zip(labels, merge.models, strict=True) if lacks(model, method)]
        if self._computing.spreading.helps(len(missing)):
            from .side_by_side import learn_side_by_side

            found = learn_side_by_side(self._recipe, self._computing, merge, labels)
        else:
            pairs = zip(merge.models, labels, strict=True)
            found = [self.with_statistics(model, merge, one) for model, one in pairs]
        return Resolved(replace(merge, models=tuple(found), calibration={}))

    def with_statistics(self, model: Model, merge: Merge, label: str) -> Model:
        """Return one model of a merge with its statistics, which are computed unless it has some."""
        method = find_method(merge.method)
        if not lacks(model, method):
            return model
        path = self._path(method.statistics, label)
        store = Store(path, force=self._computing.force, resume=self._computing.resume, reuse=True)
        try:
            with store:
                candidate, data = self._candidate(model), self._data(model)
                self._computing.note(f"{method.statistics} of {candidate.name} from {data.name}: {path}")
                _compute(method.statistics)(candidate, data, calibration_options(merge), self._settings, store)
        except AlreadyComputedError as error:
            self._computing.note(f"{error.what}: {path}")
        for note in store.notes:
            self._computing.note(note)
        return replace(model, statistics={method.statistics: str(path)}, data=None)

    def by_blocks(self, merge: Merge, method: Method, label: str) -> Resolved:
        """Compute all models' statistics together, block by block.

        Raises:
            UsageError: The merge differs from tensor to tensor, or lacks a base.
        """
        from ..calibration.sequential.gather import gather

        check_sequential(merge, method)
        self._computing.alone("Gram matrices are gathered, block by block,")
        outs = [self._path("gram", f"{label}{number}") for number in range(1, len(merge.models) + 1)]
        options = method_options(merge, method)
        folder = self._recipe.folder
        found = gather(
            [location_of(model, folder) for model in merge.models],
            location_of(merge.base, folder) if merge.base else None,
            [self._data(model) for model in merge.models],
            calibration_options(merge),
            options.off_diagonal,
            options.weight,
            self._settings,
            outs,
            region=options.region,
            force=self._computing.force,
        )
        for note in found.notes:
            self._computing.note(note)
        pairs = zip(merge.models, outs, strict=True)
        models = tuple(replace(model, statistics={"gram": str(out)}, data=None) for model, out in pairs)
        keep = tuple(f"/^{re.escape(name)}$/" for name in found.from_base)
        remark = f"{method.name}: Gram matrices gathered block by block on merged blocks"
        return Resolved(replace(merge, method=method.merged_by, models=models, calibration={}), keep, (remark,))

    def together(self, merge: Merge, method: Method, label: str) -> Resolved:
        """Learn coefficients of all models' task vectors together."""
        from .scaling import learn_scaling

        outs = [self._path(method.statistics, f"{label}{number}") for number in range(1, len(merge.models) + 1)]
        found, remarks, warnings = learn_scaling(self._recipe, merge, self._computing, self._settings, outs)
        return Resolved(found, (), remarks, warnings)

    def jointly(self, merge: Merge) -> Resolved:
        """Find out what must be known of two models together."""
        from .joint import joint_file, learn_joint

        return Resolved(learn_joint(self._recipe, merge, self._computing, joint_file(self._recipe)))

    def _path(self, kind: str, label: str) -> Path:
        return self._folder / f"{kind}-{label}.safetensors"

    def _data(self, model: Model) -> CalibrationData:
        from ..calibration.data import read_data

        return read_data(located(model.data or "", self._recipe.folder))

    def _candidate(self, model: Model) -> Candidate:
        from ..evaluation.locate import locate, merge_in_memory
        from ..plan import make_plan

        if not isinstance(model.model, Merge):
            return locate(location_of(model, self._recipe.folder)).load()
        plan = make_plan(Recipe(model.model, seed=self._recipe.seed, folder=self._recipe.folder))
        try:
            return merge_in_memory(plan, "the nested merge")
        finally:
            plan.close()


def lacks(model: Model, method: Method) -> bool:
    """Tell whether a model's statistics are still to be computed."""
    return method.statistics not in model.statistics and model.data is not None


def _compute(kind: str) -> Callable[..., Any]:
    if kind == "gram":
        from ..calibration.gram import compute_gram

        return compute_gram
    from ..calibration.fisher import compute_fisher

    return compute_fisher
