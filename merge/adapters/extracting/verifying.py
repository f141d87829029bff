"""``merge verify`` of an extracted adapter: extracts it again and compares, tensor by tensor."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...checkpoints.checkpoint import FileCheckpoint
from ...documents import VerifyDocument
from ...dtypes import parse_dtype
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...section import Section
from ..low_rank.comparing import compare
from ..low_rank.spool import SPOOL, Spool
from ..low_rank.truncation import Truncation
from .making import COMMAND
from .opened import Extracting
from .request import EMBEDDINGS, Extraction

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
            places = (extracted.extraction.base, extracted.extraction.tuned)
            return compare(out, adapter.tensors, places, extracted.measured.input_ids)
        finally:
            spool.close()
            extracting.close()


def read_card(section: Section, folder: Path | None) -> Extraction:
    """Return the request that a card records.

    Raises:
        UsageError: It is not as it was written.
    """
    section.check_keys((COMMAND, "base", "options"), required=(COMMAND, "base", "options"))
    options = section.section("options")
    options.check_keys(_OPTIONS, required=("dtype", "embeddings"))
    rank, most = (options.whole_number(key, least=1) for key in ("rank", "max_rank"))
    cut = Truncation(rank, options.number("energy"), most, bool(options.mapping.get("exact")))
    whole, only, skip = (tuple(options.texts(kind)) for kind in ("whole", "only", "skip"))
    tuned, base = section.text(COMMAND, ""), section.text("base", "")
    dtype = parse_dtype(options.text("dtype", ""), where=options.where("dtype"))
    embeddings = next((one for one in EMBEDDINGS if one == options.mapping["embeddings"]), None)
    if embeddings is None:
        what = f"'embeddings' must be one of {', '.join(EMBEDDINGS)}"
        raise UsageError(what, where=options.where("embeddings"))
    return Extraction(tuned, base, cut, None, dtype, embeddings, whole, only, skip, folder)
