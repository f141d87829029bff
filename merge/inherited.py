"""The metadata that an output takes over from its first model, less what is not true of the output.

``modelspec.`` is the Stability AI Model Metadata Standard (version 1.0.1), which Stable Diffusion files carry. Of a
merge, its hashes and its date are wrong, its title must be unique to a model, and ``merged_from`` lists the titles of
what was merged. Architecture, implementation, author, licence and what trainers wrote (``ss_``) stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .checkpoints.checkpoint import Source
from .planning.bound import Bound, BoundCall, leaves
from .recipe import Recipe

PREFIX = "modelspec."
TITLE, MERGED_FROM, DATE = f"{PREFIX}title", f"{PREFIX}merged_from", f"{PREFIX}date"
_HASHES = (f"{PREFIX}hash_", "sshs_")  # of the tensors' bytes: the standard's, kohya's model and legacy hash
_TYPES = (f"{PREFIX}unet_dtype", f"{PREFIX}vae_dtype", f"{PREFIX}dtype")


class Inherited(NamedTuple):
    """What an output takes over, and what is to be said of it."""

    metadata: dict[str, str]
    notes: list[str]


def inherited(recipe: Recipe, bound: Bound, sources: Sequence[Source], first: int) -> Inherited:
    """Return the metadata of an output that its inputs give it.

    Args:
        recipe: The recipe.
        bound: The recipe bound to the sources, or the one source that is copied.
        sources: The opened models.
        first: Position of the source whose metadata are kept.
    """
    own = sources[first].metadata
    kept = {key: value for key, value in own.items() if not key.startswith("merge.")}
    gone = [key for key in kept if key.startswith(_HASHES)]
    gone += [key for key in _TYPES if key in kept and recipe.output.dtype is not None]
    told: dict[str, str] = {}
    if isinstance(bound, BoundCall):
        gone += [key for key in (DATE, MERGED_FROM) if key in kept]
        told = _told(recipe, bound, sources) if any(key.startswith(PREFIX) for key in kept) else {}
    left_out = [key for key in gone if key not in told]
    metadata = {key: value for key, value in kept.items() if key not in gone} | told
    return Inherited(metadata, list(_notes(sources[first].location, left_out, told)))


def _told(recipe: Recipe, bound: BoundCall, sources: Sequence[Source]) -> dict[str, str]:
    """Return title and origin of a merge, from the titles of what was merged."""
    base = list(leaves(bound.base)) if bound.base is not None else []
    models = _titles(sources, [position for child in bound.inputs for position in leaves(child)])
    merged = list(dict.fromkeys([*models, *_titles(sources, base)]))
    known = [title for title in merged if title]
    if not known:
        return {}
    plain = " + ".join(models) if all(models) and len(models) > 1 else f"{known[0]} (merged)"
    origin = {MERGED_FROM: ", ".join(merged)} if all(merged) and len(merged) > 1 else {}
    return {TITLE: recipe.name or plain} | origin


def _titles(sources: Sequence[Source], positions: Sequence[int]) -> list[str]:
    """Return the titles of sources, each once; an empty one where a source has none."""
    return list(dict.fromkeys(sources[position].metadata.get(TITLE, "") for position in positions))


def _notes(location: str, left_out: Sequence[str], told: Mapping[str, str]) -> Iterator[str]:
    """Yield what was changed, in words."""
    if left_out:
        yield f"not true of the output and left out of the metadata of {location}: {', '.join(sorted(left_out))}"
    if TITLE in told:
        yield f"the output's {TITLE} is '{told[TITLE]}'"
