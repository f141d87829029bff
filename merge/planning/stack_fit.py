"""Whether the layers of several models fit on top of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..checkpoints.header import TensorInfo
from ..errors import UsageError
from .stack_part import Part, Tensors, layer_place, numbered
from .tensor_rules import is_buffer

_Within = dict[str, list[TensorInfo]]  # name within a layer ▸ that tensor of every layer that has it


def check_alike(parts: Sequence[Part], prefixes: Sequence[str]) -> None:
    """Refuse to stack layers of different widths or architectures.

    Args:
        parts: The models.
        prefixes: What stands in front of the numbers of each model's layers.

    Raises:
        UsageError: At the first model whose layers are unlike those of the first.
    """
    first, known = parts[0], _within(parts[0].tensors, prefixes[0])
    for part, prefix in zip(parts[1:], prefixes[1:], strict=True):
        own = _within(part.tensors, prefix)
        if not known.keys() & own.keys():
            what = f"the layers of {part.called} have none of the tensors that those of {first.called} have"
            raise _refusal(what, part, "architecture")
        unlike = next((rest for rest in sorted(known.keys() & own.keys()) if not _meet(known[rest], own[rest])), None)
        if unlike is not None:
            here, there = (list(min(_shapes(found[unlike]))) for found in (own, known))
            what = f"'{unlike}' in the layers of {part.called} has shape {here}, in those of {first.called} {there}"
            raise _refusal(what, part, "width")
        for more, less, has, lacks in ((known, own, first, part), (own, known, part, first)):
            if (rest := _only_in(more, less)) is not None:
                what = f"the layers of {has.called} have '{rest}', those of {lacks.called} do not"
                raise _refusal(what, part, "architecture")


def _refusal(what: str, part: Part, needed: str) -> UsageError:
    return UsageError(what, where=part.where, hint=f"only layers of one {needed} can be stacked")


def _only_in(more: _Within, less: _Within) -> str | None:
    """Return a parameter that all layers of one model have and no layer of the other; constant buffers may differ."""
    count = max(map(len, more.values()))
    alone = (rest for rest, infos in more.items() if rest not in less and len(infos) == count)
    return next((rest for rest in alone if not is_buffer(more[rest][0])), None)


def _meet(one: Iterable[TensorInfo], other: Iterable[TensorInfo]) -> bool:
    return not _shapes(one).isdisjoint(_shapes(other))


def _shapes(infos: Iterable[TensorInfo]) -> set[tuple[int, ...]]:
    return {info.shape for info in infos}


def _within(tensors: Tensors, prefix: str) -> _Within:
    """Return what the layers of a stack hold, by the names within a layer."""
    found: _Within = {}
    for name, info in tensors.items():
        place = layer_place(name)
        if place and place[0] == prefix:
            found.setdefault(name[len(numbered(*place)) :], []).append(info)
    return found
