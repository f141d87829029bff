"""``merge verify`` of an adapter that was made of several: makes it again and compares it, tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path

from ...checkpoints.checkpoint import OUR_KEY, FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...checkpoints.strength import FULL, Strength
from ...content_id import checkpoint_id, tensor_digests
from ...documents import VerifyDocument
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...section import Section
from ..low_rank.truncation import Truncation
from ..low_rank.writing import AdapterTensor
from .describing import KEY, member_id
from .request import Request
from .running import made_again

_KEYS = (KEY, "models", "options", "rank", "energy", "max_rank", "only", "skip", "any_base", "dtype", "seed")


def verify_joined(out: FileCheckpoint, section: Section, folder: Path | None, settings: RunSettings) -> VerifyDocument:
    """Make an adapter again from the adapters that its card names, and compare.

    Args:
        out: The adapter.
        section: The recipe in its card.
        folder: Folder from which locations in the card count.
        settings: How to run; none of it changes the verdict.

    Raises:
        MergeError: An input cannot be read any more, or the card was changed.
    """
    from ...verify import PROVES

    try:
        with made_again(read_card(section, folder), settings) as (united, made):
            infos = [_info(tensor) for tensor in made.tensors]
            read = {tensor.name: tensor.read for tensor in made.tensors}
            repeated = tensor_digests(infos, lambda tensor, offset, buffer: read[tensor.name](offset, buffer))
            locations = [member.location for member in united.members]
            input_ids = [member_id(member) for member in united.members]
    except UsageError as error:  # the request was sound; what it stands on has changed
        raise MergeError(error.what, where=error.where, hint=error.hint) from None
    found = tensor_digests(out.tensors.values(), out.read_into)
    names = found.keys() | repeated.keys()
    differing = sorted(name for name in names if found.get(name) != repeated.get(name))
    found_id, recorded = checkpoint_id(out.tensors.values(), found), out.metadata.get(OUR_KEY)
    known = json.loads(out.metadata.get("merge.inputs", "[]"))
    changed = [place for place, before, now in zip(locations, known, input_ids, strict=False) if before != now]
    repeated_id = checkpoint_id(infos, repeated)
    return {
        "out": out.location,
        "repeats": not differing and found_id == recorded == repeated_id,
        "output_id_recorded": recorded,
        "output_id_found": found_id,
        "output_id_repeated": repeated_id,
        "changed_inputs": changed,
        "differing_tensors": differing,
        "tensors": len(found),
        "proves": PROVES,
    }


def _info(tensor: AdapterTensor) -> TensorInfo:
    from ...planning.layout import nbytes_of

    return TensorInfo(tensor.name, tensor.dtype, tensor.shape, 0, 0, nbytes_of(tensor.dtype, tensor.shape))


def read_card(section: Section, folder: Path | None) -> Request:
    """Return the request that a card records.

    Raises:
        UsageError: It is not as it was written.
    """
    section.check_keys(_KEYS, required=(KEY, "models"))
    given = section.mapping
    models = [dict(model) for model in given["models"]]
    cut = {key: given.get(key) for key in ("rank", "energy", "max_rank")}
    return Request(
        tuple(str(model.pop("model")) for model in models),
        str(given[KEY]),
        dict(given.get("options") or {}),
        given_strengths=tuple(Strength(*model.pop("strength", FULL)) for model in models),
        own_options=tuple(models),
        truncation=None if cut["rank"] is None and cut["energy"] is None else Truncation(**cut),
        only=tuple(given.get("only") or ()),
        skip=tuple(given.get("skip") or ()),
        any_base=bool(given.get("any_base")),
        dtype=given.get("dtype"),
        seed=int(given.get("seed", 0)),
        folder=folder,
    )
