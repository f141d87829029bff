"""The recipe grammar: YAML ▸ `Recipe`. Every complaint names ``recipe.yaml:line:column``.

A recipe is read strictly: a key that is not in the grammar is an error with a suggestion, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .alignment.expand import expand
from .calibration.facts import KINDS
from .checkpoints.address import output_path
from .dtypes import parse_dtype
from .errors import MergeError, UsageError, suggest
from .mergekit.other_tools import refuse_other_tools
from .overriding import override
from .recipe import (
    DEFAULT_SHARD_BYTES,
    OVERFLOWS,
    POLICIES,
    ROUNDINGS,
    Alignment,
    Choice,
    LayerRule,
    Merge,
    Model,
    OptionValue,
    Output,
    Placed,
    Recipe,
    choose,
    parse_size,
)
from .registry import find_method
from .searched import EXAMPLE, place_marks
from .section import Section, only_one, parse_sections, read_sections
from .vocabulary.reading import read_chat_template, read_tokenizer

MERGE_KEYS = ("merge", "base", "models", "data", "options", "layers", "then")
RECIPE_KEYS = (*MERGE_KEYS, "keep", "missing", "mismatch", "seed", "output", "evaluate", "report", "name")
OUTPUT_KEYS = ("path", "dtype", "max_shard_size", "tokenizer", "chat_template", "overflow", "rounding")
LAYER_KEYS = ("match", "options", "models", "keep")
ALIGN_KEYS = ("align", "to", "options", "data")
FILES = ("permutations", "groups")  # what stands under the options of an alignment and names a file


def read_recipe(path: Path, settings: Iterable[str] = ()) -> Recipe:
    """Read a recipe file; relative paths in it count from its folder.

    Args:
        path: The YAML file.
        settings: Overrides such as ``options.density=0.2``.

    Raises:
        UsageError: Whatever is wrong with it, with its place.
    """
    return _recipe(read_sections(path, str(path)), settings, path.parent)


def parse_recipe(text: str, name: str, folder: Path | None = None, settings: Iterable[str] = ()) -> Recipe:
    """Read a recipe from text; `name` stands for the file in messages."""
    return _recipe(parse_sections(text, name), settings, folder)


def recipe_in(section: Section, folder: Path | None) -> Recipe:
    """Read a recipe from a mapping that is parsed already."""
    return _recipe([section], (), folder)


def read_copy(section: Section, folder: Path | None) -> Recipe:
    """Read what the card of a model that was copied or cast has in place of a recipe.

    Raises:
        UsageError: Whatever is wrong with it, with its place.
    """
    found = section.section("output")
    dtype = parse_dtype(found.text("dtype", ""), where=found.where("dtype")) if found.mapping.get("dtype") else None
    rounding, overflow = _choice(found, "rounding", ROUNDINGS), _choice(found, "overflow", OVERFLOWS)
    output = Output(dtype=dtype, overflow=overflow, rounding=rounding)
    keep = tuple(section.texts("keep"))
    return Recipe(Merge("cast", ()), keep=keep, seed=_seed(section), output=output, folder=folder)


def _is_mergekits(section: Section) -> bool:
    return "merge_method" in section.mapping


def _recipe(sections: list[Section], settings: Iterable[str], folder: Path | None) -> Recipe:
    if len(sections) > 1 and all(map(_is_mergekits, sections)):
        from .mergekit.documents import read_documents

        return read_documents(sections, settings)
    section = only_one(sections)
    for setting in settings:
        override(section, setting)
    if _is_mergekits(section):
        from .mergekit.reading import read_mergekit

        return read_mergekit(section)
    refuse_other_tools(section)
    _refuse_search(section)
    place_marks(section)
    section.check_keys(RECIPE_KEYS, ("merge", "models"))
    merge = _merge(section)
    report = section.text("report", "") if "report" in section.mapping else None
    return Recipe(
        merge,
        keep=tuple(section.texts("keep")),
        missing=_choice(section, "missing", POLICIES),
        mismatch=_choice(section, "mismatch", POLICIES),
        seed=_seed(section),
        output=_output(section),
        evaluate=tuple(_paths(section, "evaluate", folder)),
        report=(folder or Path()) / report if report else None,
        name=section.text("name", "") if "name" in section.mapping else None,
        folder=folder,
    )


def _refuse_search(section: Section) -> None:
    if "search" in section.mapping:
        raise UsageError("'search' stands in the place of a number", where=section.where("search"), hint=EXAMPLE)


def _merge(section: Section) -> Merge:
    base = _model(section.mapping["base"], section.where("base"), section) if "base" in section.mapping else None
    models = tuple(_model(item, where, section) for item, where in section.items("models"))
    if "data" in section.mapping:
        data = section.text("data", "")
        models = tuple(model if model.data or model.statistics else replace(model, data=data) for model in models)
    options, calibration = _split(section.text("merge", ""), _options(section, "options"))
    merge = Merge(
        section.text("merge", ""),
        models,
        base,
        options,
        tuple(_layer(item, where, section.name) for item, where in section.items("layers")),
        tuple(_then(item, where, section.name) for item, where in section.items("then")),
        section.where("merge"),
        calibration,
    )
    return _expanded(merge)


def _expanded(merge: Merge) -> Merge:
    """Return what a merge stands for, where its method aligns its models first."""
    try:
        method = find_method(merge.method)
    except MergeError:  # said with its place when the recipe is bound
        return merge
    if not method.aligns or len(merge.models) < method.minimum_models:
        return merge
    files = {name: value for name, value in merge.options.items() if name in FILES}
    kept = {name: value for name, value in merge.options.items() if name not in FILES}
    order = files.pop("permutations", None)
    return expand(replace(merge, options=kept), method, files=files, permutations=(order,) if order else ())


def _split(method: str, options: Mapping[str, OptionValue]) -> tuple[Mapping[str, OptionValue], ...]:
    """Part the options of a method from those with which its statistics are computed; both stand under options."""
    try:
        declared = find_method(method).calibration.declarations
    except MergeError:  # said with its place when the recipe is bound
        return options, {}
    places = options.places if isinstance(options, Placed) else {}
    names = [name for name in options if name in declared]
    kept = Placed({name: value for name, value in options.items() if name not in declared}, places)
    return kept, Placed({name: options[name] for name in names}, places)


def _model(item: Any, where: str, parent: Section) -> Model:
    """Read a model: a location, ``{model: location or merge, per-model options}``, or a merge right away."""
    if isinstance(item, str) and item:
        return Model(item, {}, where)
    if not isinstance(item, dict):
        raise UsageError(f"a model is a path or a mapping with `model:`, not {item!r}", where=where)
    section = Section(parent.name, item)
    if "model" not in item:
        return Model(_nested(section, where), {}, where)
    _refuse_search(section)
    options = _placed(section, but=("model", "data", *KINDS))
    statistics = {kind: section.text(kind, "") for kind in KINDS if kind in item}
    data = section.text("data", "") if "data" in item else None
    inner = item["model"]
    if isinstance(inner, dict):
        merge = _nested(Section(parent.name, inner), section.where("model"))
        return Model(merge, options, where, statistics, data)
    return Model(section.text("model", ""), options, where, statistics, data)


def _nested(section: Section, where: str) -> Merge | Alignment:
    if "align" in section.mapping:
        return _alignment(section, where)
    if "merge" not in section.mapping:
        hint = suggest(next(iter(section.mapping), ""), ("model", "merge", "align"))
        raise UsageError("expected `model:`, or a nested `merge:` or `align:`", where=where, hint=hint)
    section.check_keys(MERGE_KEYS, ("merge", "models"))
    return _merge(section)


def _alignment(section: Section, where: str) -> Alignment:
    """Read ``{align: MODEL, to: MODEL, options: {…}}``; files with the order or the groups stand under options."""
    section.check_keys(ALIGN_KEYS, ("align", "to"))
    model, to = (Model(section.text(key, ""), {}, section.where(key)) for key in ("align", "to"))
    given = section.section("options") if "options" in section.mapping else None
    files = {key: given.text(key, "") for key in FILES if given and key in given.mapping}
    options = _placed(given, but=FILES) if given else {}
    data = section.text("data", "") if "data" in section.mapping else None
    return Alignment(model, to, options, files.get("permutations"), files.get("groups"), data, where)


def _options(section: Section, key: str) -> Mapping[str, OptionValue]:
    if key not in section.mapping:
        return {}
    return _placed(section.section(key))


def _placed(section: Section, but: tuple[str, ...] = ()) -> Placed:
    names = [name for name in section.mapping if name not in but]
    return Placed(
        {name: _plain(section.mapping[name]) for name in names}, {name: section.where(name) for name in names}
    )


def _layer(item: Any, where: str, name: str) -> LayerRule:
    if not isinstance(item, dict):
        raise UsageError("a layer rule is a mapping with `match:`", where=where)
    section = Section(name, item)
    section.check_keys(LAYER_KEYS, ("match",))
    keep = item.get("keep")
    if keep is not None and keep != "base":
        raise UsageError(f"keep must be `base`, not {keep!r}", where=section.where("keep"))
    for key in ("options", "models"):
        if keep and key in item:
            raise UsageError("a tensor that is kept has no options", where=section.where(key))
    models = tuple(_model_options(one, place, name) for one, place in section.items("models"))
    return LayerRule(section.text("match", ""), _options(section, "options"), bool(keep), where, models)


def _model_options(item: Any, where: str, name: str) -> Mapping[str, OptionValue]:
    """Read the options of one model within a layer rule: those that stand beside ``model:`` elsewhere."""
    if not isinstance(item, dict):
        raise UsageError(f"a model of a layer rule is a mapping of its options, not {item!r}", where=where)
    return _placed(Section(name, item))


def _then(item: Any, where: str, name: str) -> tuple[str, Mapping[str, OptionValue]]:
    if isinstance(item, str):
        return item, {}
    if not isinstance(item, dict) or len(item) != 1:
        raise UsageError("a step under then: is `- METHOD: {options}`", where=where)
    (method,) = item
    section = Section(name, item)
    return str(method), _options(section, method) if item[method] is not None else {}


def _output(section: Section) -> Output:
    if "output" not in section.mapping:
        return Output()
    if isinstance(section.mapping["output"], str):
        return Output(output_path(section.text("output", "")))
    found = section.section("output")
    found.check_keys(OUTPUT_KEYS)
    path = output_path(found.text("path", "")) if "path" in found.mapping else None
    dtype = parse_dtype(found.text("dtype", ""), where=found.where("dtype")) if "dtype" in found.mapping else None
    size = found.mapping.get("max_shard_size", DEFAULT_SHARD_BYTES)
    tokenizer = read_tokenizer(found, "tokenizer") if "tokenizer" in found.mapping else None
    template = read_chat_template(found, "chat_template") if "chat_template" in found.mapping else None
    return Output(
        path,
        dtype,
        parse_size(size, where=found.where("max_shard_size")),
        tokenizer,
        template,
        _choice(found, "overflow", OVERFLOWS),
        _choice(found, "rounding", ROUNDINGS),
    )


def _choice(section: Section, key: str, choices: tuple[Choice, ...]) -> Choice:
    """Read one of several words; the first is the default."""
    if key not in section.mapping:
        return choices[0]
    return choose(key, section.mapping[key], choices, where=section.where(key))


def _seed(section: Section) -> int:
    seed = section.mapping.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed must be a whole number from 0, not {seed!r}", where=section.where("seed"))
    return int(seed)


def _paths(section: Section, key: str, folder: Path | None) -> Iterable[str]:
    """Yield texts, turned into paths from the recipe's folder where a file stands there."""
    for text in section.texts(key):
        path = (folder or Path()) / text
        yield str(path) if path.exists() else text


def _plain(value: Any) -> OptionValue:
    """Return a YAML scalar or list as plain Python, without the parser's subclasses."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
