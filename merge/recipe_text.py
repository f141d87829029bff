"""A recipe as text in our own grammar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .card import dump_yaml
from .checkpoints.resolve import local_path, with_adapter
from .completion.places import located
from .provenance import describe, describe_rounding
from .recipe import DEFAULT_SHARD_BYTES, Model, Output, Recipe, named
from .vocabulary.reading import describe_tokenizer

_FILES = ("data", "groups")
_MERGE = ("merge", "base", "models", "options", "layers", "then")
_ORDER = ("name", *_MERGE, "keep", "missing", "mismatch", "seed", "output", "evaluate", "report")


def recipe_as_yaml(recipe: Recipe) -> str:
    """Return the YAML that `merge run` reads back to the same merge, wherever it is put: local paths are absolute."""
    described = _with_files(recipe, describe(recipe, lambda model, kind: _location(recipe, model, kind)))
    described |= {"name": recipe.name} if recipe.name else {}
    described |= {"output": _output(recipe.output, recipe)}
    described |= {"evaluate": list(recipe.evaluate)} if recipe.evaluate else {}
    described |= {"report": _absolute(recipe, str(recipe.report))} if recipe.report else {}
    return dump_yaml({key: described[key] for key in _ORDER if described.get(key)})


def _with_files(recipe: Recipe, described: Any) -> Any:
    """Return a description, or part of one, in which paths of data and groups are absolute too."""
    if isinstance(described, list):
        return [_with_files(recipe, item) for item in described]
    if not isinstance(described, dict):
        return described
    found = {key: _with_files(recipe, value) for key, value in described.items()}
    folder = (recipe.folder or Path()).absolute()
    return found | {key: located(found[key], folder) for key in _FILES if isinstance(found.get(key), str)}


def _output(output: Output, recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = {"path": _absolute(recipe, str(output.path))} if output.path else {}
    found |= ({"dtype": output.dtype} if output.dtype else {}) | describe_rounding(output)
    if output.tokenizer:
        found["tokenizer"] = describe_tokenizer(output.tokenizer, lambda location: _anywhere(recipe, location))
    found |= {"chat_template": output.chat_template} if output.chat_template else {}
    return found | ({"max_shard_size": output.max_shard_size} if output.max_shard_size != DEFAULT_SHARD_BYTES else {})


def _location(recipe: Recipe, model: Model, kind: str) -> str:
    return _anywhere(recipe, named(model, kind))


def _anywhere(recipe: Recipe, location: str) -> str:
    """Return a location that means the same in every folder."""
    halves = with_adapter(location, recipe.folder)
    if halves:
        return f"{_anywhere(recipe, halves.base)}+{_anywhere(recipe, halves.adapter)}{halves.strength}"
    return _absolute(recipe, location) if local_path(location, recipe.folder).exists() else location


def _absolute(recipe: Recipe, location: str) -> str:
    return str(local_path(location, recipe.folder).absolute())
