"""``merge verify`` of an extracted adapter: extracts it again and compares, tensor by tensor."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...checkpoints.checkpoint import FileCheckpoint
from ...documents import VerifyDocument
from ...engine import RunSettings
from ...errors import MergeError, UsageError
from ...section import Section
from ..low_rank.comparing import compare
from ..low_rank.spool import SPOOL, Spool
from ..low_rank.truncation import Truncation
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
    options = dict(section.mapping["options"])
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise UsageError(f"the card's recipe has an unknown option '{sorted(unknown)[0]}'")
    cut = Truncation(options.get("rank"), options.get("energy"), options.get("max_rank"), bool(options.get("exact")))
    whole, only, skip = (tuple(options.get(kind) or ()) for kind in ("whole", "only", "skip"))
    tuned, base = str(section.mapping[COMMAND]), str(section.mapping["base"])
    return Extraction(tuned, base, cut, None, options["dtype"], options["embeddings"], whole, only, skip, folder)
