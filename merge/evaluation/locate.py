"""What the user names as a model ▸ a place from which it can be loaded, one model in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import MergeError, UsageError
from .memory import free_memory

if TYPE_CHECKING:
    from ..bundles.bundle import Bundle
    from ..plan import Plan
    from ..recipe import Recipe
    from .candidate import Candidate

RECIPE_SUFFIXES = (".yaml", ".yml")


class Location(Protocol):
    """A model that is not loaded yet."""

    @property
    def name(self) -> str:
        """The model as the user gave it."""

    def load(self) -> Candidate:
        """Bring it into memory. Raises MergeError when it cannot be read or merged."""


def locate(name: str) -> Location:
    """Find a model by what headers alone can tell.

    Args:
        name: A safetensors file, a folder, a bundle, an id on the hub (``org/name@revision``, also after ``hf:``), or a
            recipe.

    Raises:
        UsageError: There is nothing of that name.
        MergeError: What is there is neither a sound checkpoint nor a recipe.
    """
    from ..bundles.document import is_bundle
    from ..checkpoints.resolve import local_path

    if Path(name).suffix in RECIPE_SUFFIXES:
        return RecipeLocation.from_file(name)
    if is_bundle(local_path(name)):
        return BundleLocation.open(name)
    return CheckpointLocation(name, _local(name))


@dataclass(frozen=True)
class CheckpointLocation:
    """A checkpoint in files on this machine."""

    name: str
    path: str

    def load(self) -> Candidate:
        """Read all of its tensors."""
        from ..checkpoints.resolve import open_checkpoint
        from .candidate import read_candidate

        source = open_checkpoint(self.path)
        try:
            return read_candidate(source, self.name)
        finally:
            source.close()


@dataclass(frozen=True)
class BundleLocation:
    """Several checkpoints and the rule that joins them when they run."""

    name: str
    bundle: Bundle

    @classmethod
    def open(cls, name: str) -> BundleLocation:
        """Open a bundle's folder, so that whatever is wrong with it is said before anything runs."""
        from ..bundles.bundle import open_bundle

        return cls(name, open_bundle(name))

    def load(self) -> Candidate:
        """Refuse: there is no one checkpoint. Raises UsageError."""
        hint = "name the checkpoints that its merge.json lists"
        raise UsageError("this is a bundle of several checkpoints, and one is wanted", where=self.name, hint=hint)


@dataclass(frozen=True)
class RecipeLocation:
    """A recipe, merged in memory: no checkpoint is written."""

    name: str
    recipe: Recipe

    @classmethod
    def from_file(cls, name: str) -> RecipeLocation:
        """Read and plan a recipe, so that whatever is wrong with it is said before anything runs."""
        from ..grammar import read_recipe
        from ..plan import make_plan

        recipe = read_recipe(Path(name))
        plan = make_plan(recipe)
        try:
            plan.refuse_pending()
            _check_memory(plan, name)
        finally:
            plan.close()
        return cls(name, recipe)

    def load(self) -> Candidate:
        """Merge into memory."""
        from ..plan import make_plan

        plan = make_plan(self.recipe)
        try:
            return merge_in_memory(plan, self.name)
        finally:
            plan.close()


def merge_in_memory(plan: Plan, name: str) -> Candidate:
    """Run a plan without writing a file.

    Raises:
        MergeError: The merge fails.
    """
    from ..in_memory import run_in_memory
    from ..plan import folder_beside
    from ..provenance import data_use
    from .candidate import Candidate
    from .networks.wide import is_wide

    tensors, outcome = run_in_memory(plan)
    wide = is_wide(plan.sources[plan.first_model].metadata)
    return Candidate(name, tensors, folder_beside(plan), outcome.output_id, data_use(plan), is_wide=wide)


def _check_memory(plan: Plan, name: str) -> None:
    """Refuse a recipe whose outcome is larger than the memory that is free."""
    free = free_memory()
    if free is None:
        return
    if plan.bytes_written > free:
        what = f"the merged model needs {plan.bytes_written / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free"
        raise MergeError(what, where=name, hint="write it with merge run, then evaluate the output")


def _local(name: str) -> str:
    """Return the path of a checkpoint, fetched from the hub first where it is an id of the hub."""
    from ..checkpoints.resolve import local_path, open_checkpoint
    from .hub import fetch, is_hub_id, without_prefix

    hub_id = without_prefix(name)
    is_of_hub = not local_path(name).exists() and (is_hub_id(name) or hub_id != name)
    path = str(fetch(hub_id)) if is_of_hub else name
    open_checkpoint(path).close()
    return path


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Raise UsageError when a name occurs more than once."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the {what} '{name}' is given twice", hint="rows are told apart by these names")


def locate_all(names: Sequence[str]) -> Mapping[str, Location]:
    """Return the location of every model, in order. Raises UsageError for a name that is given twice."""
    refuse_twice(names, "model")
    return {name: locate(name) for name in names}
