"""A recipe of mergekit ▸ `Recipe`. Every complaint names ``recipe.yaml:line:column``."""

from __future__ import annotations

from collections.abc import Sequence

from ..dtypes import parse_dtype
from ..errors import UsageError
from ..recipe import Merge, Model, Output, Recipe
from ..section import Section
from .differences import differences
from .methods import Known, find_known
from .references import read_reference
from .request import Member, Request
from .rules import Rules, make_rules
from .settings import read_settings

KEYS = ("merge_method", "models", "base_model", "parameters", "dtype", "out_dtype")
MODEL_KEYS = ("model", "parameters")
_STACKING = "only whole models are read: list them under `models:`"
_TOKENIZER = "leave it out where all models have the base's vocabulary: its tokenizer is copied"
NOT_READ = {
    "slices": _STACKING,
    "modules": _STACKING,
    "tokenizer_source": _TOKENIZER,
    "tokenizer": _TOKENIZER,
    "chat_template": "leave it out: the template of the model whose tokenizer is copied is kept",
}


def read_mergekit(section: Section) -> Recipe:
    """Read a recipe of mergekit for whole models; relative paths in it count from the current folder.

    Raises:
        UsageError: Whatever is wrong with it, or not read by this version, with its place.
        MergeError: The model whose tensor names decide which filters fit cannot be opened.
    """
    _check_keys(section)
    request = read_request(section)
    dtype = _dtype(section)
    return Recipe(
        _merge(request, make_rules(request)),
        output=Output(dtype=dtype),
        notes=tuple(differences(request, casts=dtype is not None)),
    )


def _check_keys(section: Section) -> None:
    for key, hint in NOT_READ.items():
        if section.mapping.get(key) is not None:
            what = f"'{key}' of mergekit's recipes is not read by this version"
            raise UsageError(what, where=section.where(key), hint=hint)
    section.check_keys((*KEYS, *NOT_READ), ("merge_method", "models"))


def _dtype(section: Section) -> str | None:
    """Return the type of the output: ``out_dtype``, or else ``dtype``."""
    given = {key for key in ("dtype", "out_dtype") if section.mapping.get(key) is not None}
    codes = {key: parse_dtype(section.text(key, ""), where=section.where(key)) for key in given}
    return codes.get("out_dtype") or codes.get("dtype")


def read_request(section: Section) -> Request:
    """Read what is merged and how.

    Raises:
        UsageError: With the place of what is wrong.
    """
    known = find_known(section.text("merge_method", ""), section.where("merge_method"))
    listed = _members(section, known)
    base = _base(section, known)
    everywhere, where = read_settings(section, known), section.where("merge_method")
    own = next((member for member in listed if base and member.location == base.location), None)
    others = tuple(member for member in listed if member is not own)
    if known.base == "one more":
        appended = base is not None and own is None
        members = (*listed, base) if base and appended else listed
        _check_count(known, members, where)
        return Request(known, members, base, everywhere, where, appended=appended)
    _check_count(known, others, where, besides=" besides base_model" if base else "")
    unused = own.where if own and own.settings else None
    members = (base, *others) if known.base == "first" and base else others
    return Request(known, members, base, everywhere, where, unused=unused)


def _members(section: Section, known: Known) -> tuple[Member, ...]:
    """Read the list of models. mergekit refuses one that is listed twice; so do we."""
    found: dict[str, Member] = {}
    for item, where in section.items("models"):
        if not isinstance(item, dict):
            hint = "write `- model: PATH`"
            raise UsageError(f"a model of mergekit's recipes is a mapping, not {item!r}", where=where, hint=hint)
        inner = Section(section.name, item)
        inner.check_keys(MODEL_KEYS, ("model",))
        place = inner.where("model")
        location = read_reference(item["model"], place, section.name)
        if location in found:
            raise UsageError(f"'{location}' is listed twice", where=place, hint="list each model once")
        found[location] = Member(location, place, read_settings(inner, known, beside_model=True))
    return tuple(found.values())


def _base(section: Section, known: Known) -> Member | None:
    if section.mapping.get("base_model") is not None:
        where = section.where("base_model")
        return Member(read_reference(section.mapping["base_model"], where, section.name), where)
    if known.needs_base:
        what = f"mergekit's {known.name} needs a base"
        raise UsageError(what, where=section.where("merge_method"), hint="add `base_model: PATH`")
    return None


def _check_count(known: Known, members: Sequence[Member], where: str, *, besides: str = "") -> None:
    count, least, most = len(members), known.least, known.most
    if least <= count and (most is None or count <= most):
        return
    number = "one model" if least == 1 else f"{least} models"
    wanted = f"{'exactly' if least == most else 'at least'} {number}{besides}"
    what = f"mergekit's {known.name} merges {wanted}, and here {'is' if count == 1 else 'are'} {count or 'none'}"
    hint = "base_model counts as one of them" if known.base == "one more" and count > 1 else None
    raise UsageError(what, where=where, hint=hint)


def _merge(request: Request, rules: Rules) -> Merge:
    models = tuple(
        Model(member.location, options, member.where)
        for member, options in zip(request.members, rules.models, strict=True)
    )
    base = request.base if _names_base(request) else None
    return Merge(
        rules.method,
        models,
        Model(base.location, {}, base.where) if base else None,
        rules.shared,
        rules.layers,
        where=request.where,
    )


def _names_base(request: Request) -> bool:
    """Whether our merge has a base: not where it is the first model, which decides the same things anyway."""
    return request.base is not None and request.base.location != request.members[0].location
