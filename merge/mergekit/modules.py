"""What is under ``modules:``: parts of one model, such as vision tower and decoder, each merged in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import UsageError, suggest
from ..planning.patterns import compile_pattern
from ..recipe import Merge, Model, Placed
from ..section import Section
from .building import built, built_layers
from .frame import Frame
from .module_names import find_module, module_patterns, rest_of
from .request import Member, Request
from .settings import read_settings
from .slices import read_slices
from .whole import read_models

CONTENTS = ("models", "slices")
MODULE_KEYS = (*CONTENTS, "parameters")


class Body(NamedTuple):
    """A merge of ours, and what it was asked for: one request for each slice or list of models."""

    merge: Merge
    requests: tuple[Request, ...]


def read_body(section: Section, frame: Frame) -> Body:
    """Read ``models:`` or ``slices:``.

    Raises:
        UsageError: With the place of what is wrong.
        MergeError: A model cannot be opened.
    """
    if section.mapping.get("models") is not None:
        request = read_models(section, frame)
        return Body(built(request), (request,))
    layered = read_slices(section, frame)
    return Body(built_layers(layered, frame.base, section.where("slices")), layered.requests)


def read_modules(section: Section, frame: Frame) -> Body:
    """Read ``modules:``, a mapping from a module's name to models or slices.

    Raises:
        UsageError: With the place of what is wrong; among that, modules that the model does not have.
        MergeError: A model cannot be opened.
    """
    given, where = section.section("modules"), section.where("modules")
    inner = _contents(given, where)
    donor = frame.base or _first(next(iter(inner.values())), frame)
    names = list(frame.shelf.outlines.of(donor.whole).tensors)
    patterns = module_patterns(names)
    used = {name: _pattern(name, patterns, donor, given.where(name)) for name in inner}
    bodies = {name: _module(module, used[name], frame) for name, module in inner.items()}
    requests = tuple(request for body in bodies.values() for request in body.requests)
    if list(used.values()) == ["*"]:
        return Body(next(iter(bodies.values())).merge, requests)
    parts = [_part(body.merge, used[name], given.where(name)) for name, body in bodies.items()]
    parts += _rest(names, used, patterns, frame, where)
    base = donor.whole if frame.base is not None else None
    return Body(Merge("join", tuple(parts), base, where=where), requests)


def _contents(given: Section, where: str) -> dict[str, Section]:
    """Return what is said of each module, which must be models or slices.

    Raises:
        UsageError: It is neither, or both; or there are no modules.
    """
    if not given.mapping:
        raise UsageError("'modules' is empty", where=where, hint="list at least one module")
    inner = {str(name): given.section(name) for name in given.mapping}
    for module in inner.values():
        module.check_keys(MODULE_KEYS)
        check_contents(module, CONTENTS)
    return inner


def _pattern(name: str, patterns: Mapping[str, str], donor: Member, where: str) -> str:
    """Return the pattern of a module's tensors.

    Raises:
        UsageError: The model has no such module.
    """
    known = find_module(name, patterns)
    if known is None:
        hint = suggest(name, patterns) or f"it has {', '.join(patterns)}"
        raise UsageError(f"'{donor.location}' has no module '{name}'", where=where, hint=hint)
    return patterns[known]


def _rest(
    names: Sequence[str], used: Mapping[str, str], patterns: Mapping[str, str], frame: Frame, where: str
) -> list[Model]:
    """Return the model that tensors of no listed module come from; nothing where there are none.

    Raises:
        UsageError: There are some, and no base that they could come from.
    """
    rest = rest_of(used, names)
    if not rest:
        return []
    if frame.base is None:
        others = [name for name, pattern in patterns.items() if name not in used and compile_pattern(pattern)(rest[0])]
        what = f"tensor '{rest[0]}' is in no module that is listed"
        hint = f"list '{others[0]}' too, or give base_model, from which it is taken"
        raise UsageError(what, where=where, hint=hint)
    line = f"tensors of no module that is listed ({rest[0]} …) are the base's (mergekit leaves them out)"
    frame.shelf.unlike[line] = None
    return [frame.base.whole]


def _part(merge: Merge, pattern: str, where: str) -> Model:
    return Model(merge, Placed({"match": pattern}, {"match": where}), where)


def _module(section: Section, pattern: str, frame: Frame) -> Body:
    scopes = (read_settings(section, frame.known), *frame.scopes)
    return read_body(section, replace(frame, scopes=scopes, wants=compile_pattern(pattern)))


def check_contents(section: Section, keys: tuple[str, ...]) -> str:
    """Return the one of some keys that is there.

    Raises:
        UsageError: None is, or several are.
    """
    given = [key for key in keys if section.mapping.get(key) is not None]
    listed = " or ".join(f"`{key}:`" for key in keys)
    if not given:
        raise UsageError(f"the key '{keys[0]}' is missing", where=section.start, hint=f"write one of {listed}")
    if len(given) > 1:
        what = f"'{given[0]}' and '{given[1]}' exclude each other"
        raise UsageError(what, where=section.where(given[1]), hint=f"write one of {listed}")
    return given[0]


def _first(section: Section, frame: Frame) -> Member:
    """Return the first model of a module, where the recipe has no base."""
    item, where = next(section.items(check_contents(section, CONTENTS)), (None, section.start))
    if isinstance(item, dict) and isinstance(item.get("sources"), list):
        item, where = next(Section(section.name, item).items("sources"), (None, where))
    if not isinstance(item, dict) or "model" not in item:
        raise UsageError("a model is expected here: `- model: PATH`", where=where)
    return frame.shelf.member(Section(section.name, item), "model")
