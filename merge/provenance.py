"""What an output says of itself: tool, recipe, and content ids of what went in and came out.

Content ids stand where a recipe names locations, so that the same merge gives the same file wherever its inputs
lie. They are known when the last byte is written; until then placeholders of the same width hold their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import xxhash

from .checkpoints.checkpoint import NO_DEVICE, OUR_KEY, FileIdentity
from .checkpoints.derived import whole
from .content_id import PLACEHOLDER
from .data_use import NO_DATA, joined_use
from .inherited import inherited
from .options import REQUIRED
from .plan import Plan
from .planning.bound import BoundCall
from .planning.pending import is_seeded
from .recipe import Alignment, LayerRule, Merge, Model, Output, Recipe
from .registry import find_method
from .version import __version__

TOOL = f"merge-checkpoints {__version__}"
DATA_USE_KEY = "merge.data_use"
NameOf = Callable[[Model, str], str]
Elsewhere = Callable[[str], str]


def describe(recipe: Recipe, name_of: NameOf, elsewhere: Elsewhere = str) -> dict[str, Any]:
    """Return a recipe as the mapping that its YAML would give, with every default of the top method spelled out.

    Args:
        recipe: The recipe.
        name_of: What stands for a model, or for its statistics of a kind: a location or a content id.
        elsewhere: What stands for the location of a tokenizer whose model is not merged.
    """
    found = _describe_merge(recipe.merge, name_of)
    declared = find_method(recipe.merge.method).options.declarations.values()
    defaults = {o.name: o.default for o in declared if not o.per_model and o.default not in (None, "")}
    defaults = {name: value for name, value in defaults.items() if value is not REQUIRED}
    found["options"] = defaults | dict(recipe.merge.options) | dict(recipe.merge.calibration)
    found |= {"keep": list(recipe.keep)} if recipe.keep else {}
    found |= {"missing": recipe.missing} if recipe.missing != "error" else {}
    found |= {"mismatch": recipe.mismatch} if recipe.mismatch != "error" else {}
    found |= {"seed": recipe.seed} if is_seeded(recipe.merge) or recipe.output.rounding == "stochastic" else {}
    output = _describe_output(recipe, name_of, elsewhere)
    return found | ({"output": output} if output else {})


def _describe_output(recipe: Recipe, name_of: NameOf, elsewhere: Elsewhere) -> dict[str, Any]:
    """Return what decides about the output's values and vocabulary: not where it goes, nor in how many files."""
    output = recipe.output
    found: dict[str, Any] = ({"dtype": output.dtype} if output.dtype else {}) | describe_rounding(output)
    if output.tokenizer is not None:
        from .vocabulary.reading import describe_tokenizer

        merged = {str(model.model): model for model in _leaf_models(recipe.merge)}
        found["tokenizer"] = describe_tokenizer(
            output.tokenizer,
            lambda location: name_of(merged[location], "") if location in merged else elsewhere(location),
        )
    return found | ({"chat_template": output.chat_template} if output.chat_template else {})


def describe_rounding(output: Output) -> dict[str, str]:
    """Return how an output is rounded, as far as that is not the default."""
    found = {"overflow": output.overflow} if output.overflow != "error" else {}
    return found | ({"rounding": output.rounding} if output.rounding != "nearest" else {})


def _leaf_models(merge: Merge) -> Iterator[Model]:
    """Yield the models of a recipe that are no merges themselves."""
    for model in merge.parts.values():
        if isinstance(model.model, Merge):
            yield from _leaf_models(model.model)
        elif isinstance(model.model, str):
            yield model


def _describe_merge(merge: Merge, name_of: NameOf) -> dict[str, Any]:
    found: dict[str, Any] = {"merge": merge.method}
    if merge.base is not None:
        found["base"] = _describe_model(merge.base, name_of)
    found["models"] = [
        {"model": _describe_model(model, name_of)} | _describe_statistics(model, name_of) | dict(model.options)
        for model in merge.models
    ]
    if merge.options or merge.calibration:
        found["options"] = dict(merge.options) | dict(merge.calibration)
    if merge.layers:
        found["layers"] = [_describe_rule(rule) for rule in merge.layers]
    if merge.then:
        found["then"] = [{name: dict(options)} for name, options in merge.then]
    return found


def _describe_rule(rule: LayerRule) -> dict[str, Any]:
    if rule.keep:
        return {"match": rule.match, "keep": "base"}
    found: dict[str, Any] = {"match": rule.match}
    found |= {"options": dict(rule.options)} if rule.options or not rule.models else {}
    return found | ({"models": [dict(options) for options in rule.models]} if rule.models else {})


def _describe_model(model: Model, name_of: NameOf) -> Any:
    if isinstance(model.model, Merge):
        return _describe_merge(model.model, name_of)
    return (
        _describe_alignment(model, model.model, name_of) if isinstance(model.model, Alignment) else name_of(model, "")
    )


def _describe_alignment(model: Model, alignment: Alignment, name_of: NameOf) -> dict[str, Any]:
    found: dict[str, Any] = {"align": name_of(alignment.model, ""), "to": name_of(alignment.to, "")}
    files = {"permutations": name_of(model, "permutations")} if alignment.permutations else {}
    files |= {"groups": alignment.groups} if alignment.groups else {}
    found |= {"options": {**alignment.options, **files}} if alignment.options or files else {}
    return found | ({"data": alignment.data} if alignment.data else {})


def _describe_statistics(model: Model, name_of: NameOf) -> dict[str, str]:
    """Return a model's statistics, or while they are not computed the data that they will be computed from."""
    found = {kind: name_of(model, kind) for kind in model.statistics}
    return found or ({"data": model.data} if model.data else {})


def describe_copy(model: str, recipe: Recipe) -> dict[str, Any]:
    """Return what stands for a recipe where one model was only copied or cast."""
    output = {"dtype": recipe.output.dtype, **describe_rounding(recipe.output)}
    found: dict[str, Any] = {"cast": model, "output": output}
    found |= {"keep": list(recipe.keep)} if recipe.keep else {}
    return found | ({"seed": recipe.seed} if recipe.output.rounding == "stochastic" else {})


def describe_adjusted(command: str, model: str, statistics: str) -> dict[str, Any]:
    """Return what stands for a recipe where one model was adjusted by a file of statistics."""
    return {command: model, "statistics": statistics}


def described(plan: Plan, names: list[str], elsewhere: Elsewhere = str) -> dict[str, Any]:
    """Return the plan's recipe with these names in place of its sources; see `describe`."""
    if not isinstance(plan.bound, int):
        return describe(plan.recipe, lambda model, kind: names[plan.position_of(model, kind)], elsewhere)
    if plan.adjustment is not None:
        return describe_adjusted(plan.adjustment.command, *names)
    copied = whole(plan.sources[plan.bound])
    number = next(number for number, source in enumerate(plan.sources) if source is copied)
    return describe_copy(names[number], plan.recipe)


def metadata(plan: Plan, input_ids: list[str] | None = None, output_id: str = PLACEHOLDER) -> dict[str, str]:
    """Return the metadata of the output's files; without ids, of the same length with placeholders."""
    ids = input_ids or [PLACEHOLDER] * len(plan.sources)
    recipe = json.dumps(described(plan, ids, lambda _: _tokenizer_id(plan)), sort_keys=True, ensure_ascii=False)
    used = data_use(plan)
    return (
        inherited(plan.recipe, plan.bound, plan.sources, plan.first_model).metadata
        | ({DATA_USE_KEY: used} if used != NO_DATA else {})
        | {
            "format": "pt",
            "merge.tool": TOOL,
            "merge.recipe": recipe,
            "merge.recipe_hash": xxhash.xxh3_128_hexdigest(recipe.encode()),
            "merge.inputs": json.dumps(ids),
            OUR_KEY: output_id,
        }
    )


def _tokenizer_id(plan: Plan) -> str:
    """Return what stands for a tokenizer from elsewhere: an id of the tokenizer files of the output."""
    found = xxhash.xxh3_128()
    for name, content in sorted(plan.beside.files.items()):
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def data_use(plan: Plan) -> str:
    """Return which data the weights were found with besides the checkpoints: this recipe's and those of its inputs."""
    own = [plan.recipe.data_use, *(source.metadata.get(DATA_USE_KEY, NO_DATA) for source in plan.sources)]
    if isinstance(plan.bound, BoundCall) and not plan.bound.method.widens:  # of which the statistics say it
        own.append(plan.bound.method.data_use)
    return joined_use(own)


def fingerprint(plan: Plan, *, allow_nonfinite: bool, count_lost_updates: bool = False, anywhere: bool = False) -> str:
    """Return what must be equal for two runs to be about the same work: tool, recipe, inputs, layout.

    Args:
        plan: The plan.
        allow_nonfinite: Whether infinities and NaN are merged.
        count_lost_updates: Whether lost updates are counted, which another run cannot do of finished pieces.
        anywhere: Whether files may be seen from different machines, where disks and places on them have other numbers.
    """
    facts: Mapping[str, Any] = {
        "tool": TOOL,
        "recipe": described(plan, [source.location for source in plan.sources]),
        "inputs": [[_facts(one, anywhere=anywhere) for one in source.identities] for source in plan.sources],
        "files": [[file.name, file.nbytes, len(file.slots)] for file in plan.files],
        "rows": len(plan.rows),
        "allow_nonfinite": allow_nonfinite,
        "count_lost_updates": count_lost_updates,
    }
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True).encode())


def _facts(identity: FileIdentity, *, anywhere: bool) -> list[Any]:
    """Return what tells a file; of one that lies elsewhere, the number stands for its version, seen from wherever."""
    if anywhere and identity.device != NO_DEVICE:
        identity = identity._replace(device=0, inode=0)
    return list(identity)
