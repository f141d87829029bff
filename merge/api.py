"""The Python API: what the command line does, as functions."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkpoints.resolve import local_path, open_checkpoint
from .dtypes import DTYPES
from .engine import RunSettings
from .errors import UsageError
from .execute import WriteSettings, Written, check_output, write
from .grammar import read_recipe
from .in_memory import array_of, run_in_memory
from .plan import make_plan
from .planning.needed_statistics import STATISTICS
from .recipe import OVERFLOWS, ROUNDINGS, Merge, Model, Output, Recipe, choose
from .registry import find_method

CALIBRATION_BATCH = 32

if TYPE_CHECKING:
    from torch import Tensor

    from .bundles.bundle import Bundle


def merge(
    recipe: Recipe | str | Path, *, out: Path | str | None = None, settings: WriteSettings | None = None
) -> Written:
    """Run a recipe into its output path; statistics that it needs are computed first from the data that it names.

    Args:
        recipe: A recipe, or the path of a YAML file.
        out: Output path instead of the recipe's; counts from the current folder.
        settings: Force, resume, threads, device and the like.

    Raises:
        MergeError: When anything fails; then nothing is written.
    """
    found = recipe if isinstance(recipe, Recipe) else read_recipe(Path(recipe))
    if out is not None:
        found = replace(found, output=replace(found.output, path=Path(out).absolute()))
    settings = settings or WriteSettings()
    plan = make_plan(found)
    try:
        if plan.is_pending:
            check_output(plan, settings)
            plan.close()
            plan = make_plan(_completed(found, settings))
        return write(plan, settings)
    finally:
        plan.close()


def _completed(recipe: Recipe, settings: WriteSettings) -> Recipe:
    from .completion.complete import complete
    from .completion.computing import Computing
    from .distributed.spreading import Spreading
    from .evaluation.device import choose_device
    from .evaluation.task import Settings

    run = settings.run
    how = Settings(device=choose_device(run.device), batch_size=CALIBRATION_BATCH)
    among = Spreading(run.workers, run.engine, run.address)
    computing = Computing(how, settings.force, settings.resume, _tell_nobody, spreading=among, threads=run.threads)
    return complete(recipe, computing)


def _tell_nobody(line: str) -> None:
    """Tell nothing: what is written says it."""


def merge_state_dicts(
    models: Sequence[Mapping[str, Any]],
    *,
    method: str = "soup",
    base: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    overflow: str = "error",
    rounding: str = "nearest",
    seed: int = 0,
    statistics: Sequence[Mapping[str, Any]] | None = None,
    settings: RunSettings | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Merge state dicts of torch tensors or numpy arrays in memory.

    Args:
        models: The state dicts; they are not changed.
        method: Name of the method.
        base: The base's state dict, for methods over task vectors.
        dtype: Type of the outcome's floating tensors; by default the base's, else the first model's.
        overflow: What happens to a result beyond the largest number of its type: ``error``, or ``saturate``, which
            makes it that number.
        rounding: To types of at most 16 bits: ``nearest``, or ``stochastic``, which keeps the mean.
        seed: Seed of whatever draws random numbers.
        statistics: What a method learned from data, one state dict per model: Fisher information by the names of the
            tensors for ``fisher``, Gram matrices for ``regmean``.
        settings: How to run it.
        options: The method's options; a per-model option takes one value per model. Scalars and arrays of numpy and
            torch stand for numbers and lists.

    Returns:
        A state dict in the order of the base or first model: torch tensors where that holds torch tensors, else
        numpy arrays.

    Raises:
        MergeError: When the models do not fit together.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed must be a whole number from 0, not {seed!r}")
    plain = {name: _plain(value) for name, value in options.items()}
    recipe = replace(_recipe(models, method, base, dtype, plain), seed=seed)
    recipe = replace(recipe, output=_rounded(recipe.output, overflow, rounding))
    recipe = replace(recipe, merge=_with_statistics(recipe.merge, statistics))
    plan = make_plan(recipe)
    reference = base if base is not None else models[0]
    as_torch = any(hasattr(array, "detach") for array in reference.values())
    arrays, outcome = run_in_memory(plan, settings, as_torch=as_torch)
    for warning in plan.warnings + outcome.disagreements:
        warnings.warn(warning, stacklevel=2)
    ordered = [*reference, *(name for name in arrays if name not in reference)]
    return {name: arrays[name] for name in ordered if name in arrays}


def _rounded(output: Output, overflow: str, rounding: str) -> Output:
    """Return an output that is rounded so."""
    chosen = choose("overflow", overflow, OVERFLOWS), choose("rounding", rounding, ROUNDINGS)
    return replace(output, overflow=chosen[0], rounding=chosen[1])


def _recipe(
    models: Sequence[Mapping[str, Any]],
    method: str,
    base: Mapping[str, Any] | None,
    dtype: str | None,
    options: Mapping[str, Any],
) -> Recipe:
    from .dtypes import parse_dtype

    declared = find_method(method).options.declarations
    per_model = {name: value for name, value in options.items() if name in declared and declared[name].per_model}
    for name, value in list(per_model.items()):
        if isinstance(value, str) or not isinstance(value, Iterable):
            if declared[name].shared:
                del per_model[name]
                continue
            raise UsageError(f"'{name}' needs one value for each of the {len(models)} models")
    listed = {name: list(value) for name, value in per_model.items()}
    for name, values in listed.items():
        if len(values) != len(models):
            raise UsageError(f"'{name}' needs one value for each of the {len(models)} models, not {len(values)}")
    entries = tuple(
        Model(model, {name: values[number] for name, values in listed.items()}) for number, model in enumerate(models)
    )
    shared = {name: value for name, value in options.items() if name not in per_model}
    recipe = Recipe(Merge(method, entries, Model(base) if base is not None else None, shared))
    return replace(recipe, output=replace(recipe.output, dtype=parse_dtype(str(dtype)) if dtype else None))


def _with_statistics(merge: Merge, statistics: Sequence[Mapping[str, Any]] | None) -> Merge:
    wanted = find_method(merge.method).statistics
    if find_method(merge.method).widens:
        raise UsageError(f"{merge.method} merges models in files", hint="give merge.merge() a recipe")
    if statistics is None:
        if wanted:
            hint = "give statistics=, a list with one state dict for each model"
            raise UsageError(f"{merge.method} needs {STATISTICS[wanted]} of every model", hint=hint)
        return merge
    if not isinstance(statistics, Sequence) or not all(isinstance(one, Mapping) for one in statistics):
        hint = "write statistics=[first, second, …]"
        raise UsageError("statistics= takes a list with one state dict for each model", hint=hint)
    if len(statistics) != len(merge.models):
        raise UsageError(f"statistics= has {len(statistics)} state dicts for {len(merge.models)} models")
    pairs = zip(merge.models, statistics, strict=True)
    models = tuple(replace(model, statistics={wanted or "statistics": one}) for model, one in pairs)
    return replace(merge, models=models)


def _plain(value: Any) -> Any:
    """Return the Python number in a scalar of numpy or torch, the list of an array."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def load(location: str | Path) -> dict[str, Tensor] | Bundle:
    """Load a checkpoint, a file or a folder with shards, as a state dict of torch tensors; or open a bundle.

    Returns:
        The tensors by name; for a bundle its rule, options and members, which are loaded when they are asked for.

    Raises:
        MergeError: When it cannot be read, or torch lacks one of its types.
    """
    from .bundles.bundle import open_bundle
    from .bundles.document import is_bundle

    return open_bundle(str(location)) if is_bundle(local_path(location)) else load_tensors(location)


def load_tensors(location: str | Path) -> dict[str, Tensor]:
    """Load a checkpoint as a state dict of torch tensors.

    Raises:
        MergeError: When it cannot be read, or torch lacks one of its types.
    """
    opened = open_checkpoint(str(location))
    try:
        found = {}
        for tensor in opened.tensors.values():
            if DTYPES[tensor.dtype].torch is None:
                raise UsageError(f"torch has no type for '{tensor.name}' ({tensor.dtype})", where=str(location))
            raw = bytearray(tensor.nbytes)
            opened.read_into(tensor, 0, memoryview(raw))
            found[tensor.name] = array_of(memoryview(raw), tensor.dtype, tensor.shape, as_torch=True)
        return found
    finally:
        opened.close()
