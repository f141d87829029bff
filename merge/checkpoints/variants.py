"""Which weights of a folder are meant where several lie there: diffusers and transformers save variants beside them.

A variant, ``fp16`` mostly, stands in the file's name: ``model.fp16.safetensors``, and of shards in that of the index,
``model.safetensors.index.fp16.json`` (formerly ``model.fp16.safetensors.index.json``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import UsageError

SAFETENSORS, PICKLES = "safetensors", "bin"
_STEMS = {SAFETENSORS: ("model", "diffusion_pytorch_model"), PICKLES: ("pytorch_model", "diffusion_pytorch_model")}
_VARIANT = r"(?P<variant>[A-Za-z0-9_]+)"
_FIRST = ("", "fp16", "bf16")  # in this order


class Meant(NamedTuple):
    """The weights that are meant.

    Attributes:
        file: The file, or the index of shards.
        is_index: Which of the two.
        weights_name: Name that a single-file output in a folder should have.
        notes: What else lies there.
    """

    file: str
    is_index: bool
    weights_name: str
    notes: list[str]


class _Found(NamedTuple):
    variant: str
    stem: str
    is_index: bool
    name: str


def meant_among(names: Sequence[str], where: str, suffix: str = SAFETENSORS) -> Meant | None:
    """Return the weights that a library would load of a folder, or None where their names do not tell.

    An index goes before a whole file, and a plain name before those of variants.

    Args:
        names: The files in the folder.
        where: What stands for it in messages.
        suffix: Of the files: ``safetensors`` or ``bin``.

    Raises:
        UsageError: There are several indexes, or variants of which none goes first.
    """
    found = sorted(_known(names, suffix), key=lambda one: _rank(one, suffix))
    known = {one.name for one in found}
    indexes = [name for name in names if name.endswith(f".{suffix}.index.json") and name not in known]
    indexes += [one.name for one in found if one.is_index and not one.variant]
    if len(indexes) > 1:
        what = f"the folder holds several indexes: {', '.join(sorted(indexes))}"
        raise UsageError(what, where=where, hint="name one file instead")
    if indexes and indexes[0] not in known:
        return Meant(indexes[0], True, f"{indexes[0].removesuffix(f'.{suffix}.index.json')}.safetensors", [])
    return _first(found, names, where, suffix) if found else None


def _first(found: Sequence[_Found], names: Sequence[str], where: str, suffix: str) -> Meant:
    first = found[0]
    if first.variant not in _FIRST and len({one.variant for one in found}) > 1:
        what = f"the folder holds only variants: {', '.join(one.name for one in found)}"
        raise UsageError(what, where=where, hint="name one file instead")
    notes = [f"{first.name} is read, the variant '{first.variant}': there is none without"] if first.variant else []
    left = [one.name for one in found[1:]]
    if not first.is_index:
        left += [name for name in names if name.endswith((f".{suffix}", ".st")) and not _is_shard(name)]
    notes += [f"{name} lies beside it and is not read" for name in dict.fromkeys(left) if name != first.name]
    return Meant(first.name, first.is_index, f"{first.stem.removeprefix('pytorch_')}.safetensors", notes)


def _known(names: Sequence[str], suffix: str) -> Iterator[_Found]:
    stem = rf"(?P<stem>{'|'.join(_STEMS[suffix])})"
    patterns = (
        (False, rf"{stem}(\.{_VARIANT})?\.{suffix}"),
        (True, rf"{stem}\.{suffix}\.index(\.{_VARIANT})?\.json"),
        (True, rf"{stem}\.{_VARIANT}\.{suffix}\.index\.json"),
    )
    for name in names:
        for is_index, pattern in patterns:
            if match := re.fullmatch(pattern, name):
                yield _Found(match["variant"] or "", match["stem"], is_index, name)


def _rank(one: _Found, suffix: str) -> tuple[int, str, int, bool, str]:
    place = _FIRST.index(one.variant) if one.variant in _FIRST else len(_FIRST)
    return place, one.variant, _STEMS[suffix].index(one.stem), not one.is_index, one.name


def _is_shard(name: str) -> bool:
    return re.search(r"-\d{5}-of-\d{5}[.]", name) is not None
