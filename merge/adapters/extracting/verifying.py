"""``merge verify`` of an extracted adapter: extracts it again and compares, tensor by tensor."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...checkpoints.checkpoint import OUR_KEY, FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...content_id import checkpoint_id, tensor_digests
from ...documents import VerifyDocument
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...planning.layout import nbytes_of
from ...section import Section
from ..low_rank.spool import Spool
from ..low_rank.truncation import Truncation
from ..low_rank.writing import AdapterTensor
from .extract import SPOOL
from .extracted import Extracted
from .making import COMMAND
from .opened import Extracting
from .request import Extraction

_OPTIONS = ("rank", "energy", "max_rank", "exact", "dtype", "embeddings", "whole", "only", "skip")


def verify_extracted(
    out: FileCheckpoint, section: Section, folder: Path | None, settings: RunSettings
) -> VerifyDocument:
    """Extract an adapter again from the two models that its card names, and compare.

    Args:
        out: The adapter.
        section: The recipe in its card.
        folder: Folder from which locations in the card count.
        settings: How to run; on the kind of device that it was made on, none of it changes the verdict.

    Raises:
        MergeError: An input cannot be read any more, or the card was changed.
    """
    try:
        extracting = Extracting(read_card(section, folder))
    except UsageError as error:  # the request was sound; what it stands on has changed
        raise MergeError(error.what, where=error.where, hint=error.hint) from None
    with tempfile.TemporaryDirectory() as place:
        spool = Spool(Path(place) / SPOOL)
        try:
            extracted, adapter = extracting.made(spool, Path(place), settings)
            return _compare(out, extracted, adapter.tensors)
        finally:
            spool.close()
            extracting.close()


def read_card(section: Section, folder: Path | None) -> Extraction:
    """Return the request that a card records.

    Raises:
        UsageError: It is not as it was written.
    """
    section.check_keys((COMMAND, "base", "options"), required=(COMMAND, "base", "options"))
    options = dict(section.mapping["options"])
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise UsageError(f"the card's recipe has an unknown option '{sorted(unknown)[0]}'")
    cut = Truncation(options.get("rank"), options.get("energy"), options.get("max_rank"), bool(options.get("exact")))
    whole, only, skip = (tuple(options.get(kind) or ()) for kind in ("whole", "only", "skip"))
    tuned, base = str(section.mapping[COMMAND]), str(section.mapping["base"])
    return Extraction(tuned, base, cut, None, options["dtype"], options["embeddings"], whole, only, skip, folder)


def _compare(out: FileCheckpoint, extracted: Extracted, tensors: Sequence[AdapterTensor]) -> VerifyDocument:
    infos = [TensorInfo(one.name, one.dtype, one.shape, 0, 0, nbytes_of(one.dtype, one.shape)) for one in tensors]
    read = {one.name: one.read for one in tensors}
    repeated = tensor_digests(infos, lambda tensor, offset, buffer: read[tensor.name](offset, buffer))
    found = tensor_digests(out.tensors.values(), out.read_into)
    names = found.keys() | repeated.keys()
    differing = sorted(name for name in names if found.get(name) != repeated.get(name))
    found_id, recorded = checkpoint_id(out.tensors.values(), found), out.metadata.get(OUR_KEY)
    known = json.loads(out.metadata.get("merge.inputs", "[]"))
    places = (extracted.extraction.base, extracted.extraction.tuned)
    ids = extracted.measured.input_ids
    repeated_id = checkpoint_id(infos, repeated)
    return {
        "out": out.location,
        "repeats": not differing and found_id == recorded == repeated_id,
        "output_id_recorded": recorded,
        "output_id_found": found_id,
        "output_id_repeated": repeated_id,
        "changed_inputs": [one for one, before, now in zip(places, known, ids, strict=False) if before != now],
        "differing_tensors": differing,
        "tensors": len(found),
        "proves": _proves(),
    }


def _proves() -> str:
    from ...verify import PROVES

    return PROVES
