"""The tensors of a diffusion model under the names of diffusers and transformers, however they are saved."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from ..checkpoints.header import TensorInfo
from .known import BARE, PREFIXED
from .section import Section
from .table import DIFFUSERS_PREFIXES, LDM_PREFIXES


class Place(NamedTuple):
    """Where a tensor of diffusers' layout is in a checkpoint.

    Attributes:
        name: The tensor's own name in the checkpoint.
        shape: Shape of the tensor in diffusers' layout: of these rows, with its axes exchanged, 1x1 kernels left out.
        rows: Rows of the checkpoint's tensor that it is, where one tensor there is several here; None for all.
        transposed: Whether the axes of the checkpoint's matrix are exchanged.
    """

    name: str
    shape: tuple[int, ...]
    rows: slice | None = None
    transposed: bool = False


def diffusers_names(tensors: Mapping[str, TensorInfo]) -> dict[str, Place]:
    """Return where every tensor of diffusers' layout is in a checkpoint.

    Args:
        tensors: The tensors of a single file with ldm's or sgm's names, of a diffusers folder with the component in
            front of every name, or of a file with one component alone.

    Returns:
        By its name in diffusers' layout with the component in front (``unet.down_blocks.0.…``, ``text_encoder.…``,
        ``text_encoder_2.…``, ``vae.…``), in the checkpoint's order; empty for what is no such model. Buffers outside
        of its networks (noise schedule, moving averages) are not among them.
    """
    found: dict[str, Place] = {}
    prefixes = _prefixes(tensors)
    for name, tensor in tensors.items():
        for prefix, (component, section) in prefixes.items():
            if name.startswith(prefix):
                for inner, place in _places(section, name, name[len(prefix) :], tensor.shape):
                    found.setdefault(f"{component}.{inner}", place)
                break
    return found


def _prefixes(tensors: Mapping[str, TensorInfo]) -> Mapping[str, tuple[str, Section]]:
    """Return the prefixes of a checkpoint's components."""
    if any(name in tensors for name in PREFIXED):
        return {**LDM_PREFIXES, **DIFFUSERS_PREFIXES}
    bare = next((component for name, component in BARE.items() if name in tensors), None)
    return {} if bare is None else {"": DIFFUSERS_PREFIXES[f"{bare}."]}  # a text encoder alone is any text encoder


def _places(section: Section, name: str, inner: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Place]]:
    """Yield what one tensor is in diffusers' layout: itself, or several tensors that it holds."""
    front = front_of(inner, section.places)
    leaf = inner[len(front) :].removeprefix(".")
    place = section.places.get(front, front)
    if leaf in section.fused and shape:
        parts = section.fused[leaf]
        size = shape[0] // len(parts)
        for number, part in enumerate(parts):
            yield joined(place, part), Place(name, (size, *shape[1:]), slice(number * size, (number + 1) * size))
        return
    plain = _older(joined(place, _leaf(leaf, section.leaves) if place != front else leaf), section.older)
    transposed = inner in section.transposed
    if transposed:
        shape = shape[::-1]
    elif shape[2:] in ((1, 1), (1,)) and any(plain.startswith(flat) for flat in section.flattened):
        shape = shape[:2]
    yield plain, Place(name, shape, None, transposed)


def front_of(name: str, known: Container[str]) -> str:
    """Return the longest known front of a name; nothing where none is known."""
    end = len(name)
    while end > 0:
        if name[:end] in known:
            return name[:end]
        end = name.rfind(".", 0, end)
    return ""


def _leaf(leaf: str, known: Mapping[str, str]) -> str:
    stem, dot, kind = leaf.rpartition(".")
    return f"{known.get(stem, stem)}{dot}{kind}"


def _older(name: str, known: Mapping[str, str]) -> str:
    front = front_of(name, known)
    return joined(known[front], name[len(front) + 1 :]) if front else name


def joined(front: str, rest: str) -> str:
    """Return a name of two parts, of which one may be empty."""
    return f"{front}.{rest}" if front and rest else front or rest
