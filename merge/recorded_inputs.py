"""The content ids of the inputs, as an output's metadata record them."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import MergeError
from .json_text import parse_json

KEY = "merge.inputs"


def recorded_inputs(metadata: Mapping[str, str], where: str) -> list[str]:
    """Return the content ids of the inputs in their order; none where nothing is recorded.

    Raises:
        MergeError: What is recorded is no list of texts.
    """
    try:
        found = parse_json(metadata.get(KEY, "[]"))
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        what = f"'{KEY}' in the metadata is no list of content ids"
        raise MergeError(what, where=where, hint="the file was changed after it was written")
    return found
