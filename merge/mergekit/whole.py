"""Merges of whole models: what is under ``models:``."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..planning.depth import relative_depth
from ..section import Section
from .frame import Frame, check_base, check_count
from .outline import layer_stacks
from .request import Member, Request, Tensor
from .settings import read_settings

MODEL_KEYS = ("model", "parameters")


def read_models(section: Section, frame: Frame) -> Request:
    """Read a list of models.

    Raises:
        UsageError: With the place of what is wrong.
        MergeError: A model cannot be opened.
    """
    request = whole_request(_members(section, frame), frame)
    _check_depths(request, frame)
    return request


def whole_request(listed: Sequence[Member], frame: Frame) -> Request:
    """Return the merge of models all of whose layers are merged.

    Raises:
        UsageError: The method merges more or fewer models, or needs a base.
    """
    known, base, where = frame.known, frame.base, frame.where
    check_base(known, base, where)
    own = next((member for member in listed if base and member.location == base.location), None)

    def tensors(request: Request) -> Sequence[Tensor]:
        return _tensors(request, frame)

    if known.base == "one more":
        members = (*listed, base) if base and own is None else tuple(listed)
        check_count(known, members, where)
        return Request(known, members, base, frame.scopes, where, tensors, appended=base is not None and own is None)
    others = tuple(member for member in listed if member is not own)
    check_count(known, others, where, besides=" besides base_model" if base else "")
    unused = own.where if own and own.settings else None
    members = (base, *others) if known.base == "first" and base else others
    return Request(known, members, base, frame.scopes, where, tensors, unused=unused)


def _tensors(request: Request, frame: Frame) -> Sequence[Tensor]:
    """Return the tensors of the model that decides them; all models give them the same names."""
    names = [name for name in frame.shelf.outlines.of(request.first.whole).tensors if frame.wants(name)]
    sizes, count = layer_stacks(names), len(request.members)
    return [Tensor(name, name, (name,) * count, _depth(name, sizes)) for name in names]


def _depth(name: str, sizes: dict[str, int]) -> float | None:
    try:
        return relative_depth(name, sizes)
    except KeyError:  # numbered, but not as layers are
        return None


def _members(section: Section, frame: Frame) -> tuple[Member, ...]:
    """Read the list of models. mergekit refuses one that is listed twice; so do we."""
    found: dict[str, Member] = {}
    for item, where in section.items("models"):
        if not isinstance(item, dict):
            hint = "write `- model: PATH`"
            raise UsageError(f"a model of mergekit's recipes is a mapping, not {item!r}", where=where, hint=hint)
        inner = Section(section.name, item)
        inner.check_keys(MODEL_KEYS, ("model",))
        settings = read_settings(inner, frame.known, beside_model=True)
        member = frame.shelf.member(inner, "model", settings)
        if member.location in found:
            what = f"'{member.location}' is listed twice"
            raise UsageError(what, where=member.where, hint="list each model once")
        found[member.location] = member
    return tuple(found.values())


def _check_depths(request: Request, frame: Frame) -> None:
    """Refuse models of different depths, whose layers would not pair up.

    Raises:
        UsageError: At the first model that has more or fewer layers than that which decides the names.
        MergeError: A model cannot be opened.
    """
    others = [member for member in request.members if member.location != request.first.location]
    if not others:
        return
    wanted = _depths(request.first, frame)
    for member in others:
        for prefix, size in _depths(member, frame).items():
            if size != wanted.get(prefix, size):
                what = f"'{member.location}' has {size} layers, '{request.first.location}' {wanted[prefix]}"
                hint = "say which layers are merged with which: list `slices:` with a layer_range for each model"
                raise UsageError(what, where=member.where, hint=hint)


def _depths(member: Member, frame: Frame) -> dict[str, int]:
    names = frame.shelf.outlines.of(member.whole).tensors
    return layer_stacks(filter(frame.wants, names))
