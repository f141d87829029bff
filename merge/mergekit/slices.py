"""What is under ``slices:``: layers of models, merged slice by slice and put on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..errors import UsageError
from ..section import Section
from .frame import Frame, check_base, check_count
from .layers import Stack, checked_cut, find_stack, read_range, slice_tensors, stack_tensors
from .request import Member, Request
from .settings import Settings, read_settings

SLICE_KEYS = ("sources", "base_model", "parameters", "residual_weight")
SOURCE_KEYS = ("model", "layer_range", "parameters")


class Given(NamedTuple):
    """One slice as the file gives it: its models with their layers, what counts for all of them, and its base."""

    sources: tuple[Member, ...]
    settings: Settings
    base: Member | None
    where: str


class Layered(NamedTuple):
    """The merges of all slices, the lowest first, and what tells their layers from other numbered modules."""

    requests: tuple[Request, ...]
    stack: Stack


def read_slices(section: Section, frame: Frame) -> Layered:
    """Read a list of slices.

    Raises:
        UsageError: With the place of what is wrong; among that, layers that a model does not have.
        MergeError: A model cannot be opened.
    """
    given = [_slice(item, where, section.name, frame) for item, where in section.items("slices")]
    if not given:
        raise UsageError("'slices' is empty", where=section.where("slices"), hint="list at least one slice")
    stack = find_stack(given[0].sources[0], frame, given[0].where)
    given = [_checked(one, stack, frame) for one in given]
    _remark(given, frame)
    requests = [_request(one, stack, frame) for one in given]
    taken = stack_tensors([request.first for request in requests], stack, frame)
    return Layered(tuple(_listing(*pair) for pair in zip(requests, taken, strict=True)), stack)


def _slice(item: Any, where: str, name: str, frame: Frame) -> Given:
    if not isinstance(item, dict):
        raise UsageError(f"a slice is a mapping with `sources:`, not {item!r}", where=where)
    section = Section(name, item)
    section.check_keys(SLICE_KEYS, ("sources",))
    sources = tuple(_source(one, place, name, frame) for one, place in section.items("sources"))
    if not sources:
        raise UsageError("'sources' is empty", where=section.where("sources"), hint="list at least one model")
    if section.mapping.get("residual_weight") is not None:
        section.number("residual_weight")
        frame.shelf.alike["'residual_weight' changes nothing"] = None
    base = frame.shelf.member(section, "base_model") if section.mapping.get("base_model") is not None else frame.base
    return Given(sources, read_settings(section, frame.known), base, where)


def _source(item: Any, where: str, name: str, frame: Frame) -> Member:
    if not isinstance(item, dict):
        hint = "write `- {model: PATH, layer_range: [0, 8]}`"
        raise UsageError(f"a source of a slice is a mapping, not {item!r}", where=where, hint=hint)
    section = Section(name, item)
    section.check_keys(SOURCE_KEYS, ("model", "layer_range"))
    member = frame.shelf.member(section, "model", read_settings(section, frame.known, beside_model=True))
    return replace(member, cut=read_range(section))


def _checked(given: Given, stack: Stack, frame: Frame) -> Given:
    """Return a slice whose models have its layers, equally many of each."""
    sources = tuple(replace(source, cut=checked_cut(source, stack, frame)) for source in given.sources)
    length = _length(sources[0])
    for number, source in enumerate(sources):
        if _length(source) != length:
            what = f"the sources of a slice must have equally many layers: '{source.location}' has {_length(source)}"
            raise UsageError(f"{what}, the first one {length}", where=source.cut.where if source.cut else None)
        if any(_same(source, other) for other in sources[:number]):
            raise UsageError(f"the same layers of '{source.location}' are listed twice", where=source.where)
    return given._replace(sources=sources)


def _length(source: Member) -> int:
    return source.cut.last - source.cut.first if source.cut else 0


def _same(one: Member, other: Member) -> bool:
    return (one.location, one.cut and one.cut.text) == (other.location, other.cut and other.cut.text)


def _request(given: Given, stack: Stack, frame: Frame) -> Request:
    known, sources = frame.known, given.sources
    scopes = (given.settings, *frame.scopes)

    def nothing(request: Request) -> list[Any]:
        return []

    if known.base == "one more":
        check_count(known, sources, given.where)
        return Request(known, sources, None, scopes, given.where, nothing, stack.option)
    check_base(known, given.base, frame.where)
    own = _base(given)
    others = tuple(source for source in sources if source is not own)
    check_count(known, others, given.where, besides=" besides base_model" if own else "")
    unused = own.where if own and own.settings else None
    members = (own, *others) if known.base == "first" and own else others
    return Request(known, members, own, scopes, given.where, nothing, stack.option, unused=unused)


def _base(given: Given) -> Member | None:
    """Return the source of a slice that is its base."""
    if given.base is None:
        return None
    own = next((source for source in given.sources if source.location == given.base.location), None)
    if own is None:
        what = f"the base '{given.base.location}' is none of the slice's sources"
        hint = "list it too, with the layer_range from which task vectors are taken"
        raise UsageError(what, where=given.where, hint=hint)
    return own


def _listing(request: Request, taken: Sequence[tuple[str, str]]) -> Request:
    return replace(request, listing=lambda asked: slice_tensors(asked, taken))


def _remark(given: Sequence[Given], frame: Frame) -> None:
    first, last = given[0].sources, given[-1].sources
    if len(last) > len(first):
        line = (
            f"what follows the layers is merged from all models of the last slice (mergekit: of the first {len(first)})"
        )
        frame.shelf.unlike[line] = None
    if any(len({source.location for source in one.sources}) < len(one.sources) for one in given):
        frame.shelf.unlike["a model may stand twice in a slice, with different layers (mergekit refuses it)"] = None
