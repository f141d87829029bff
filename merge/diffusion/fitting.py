"""Put one diffusion model's tensors under the names that another one has, in whatever layouts the two are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..checkpoints.header import TensorInfo
from ..checkpoints.pieced import Part, Pieced
from ..errors import MergeError
from .modules import Place, diffusers_names


class Layout:
    """A model's tensors and what they are in diffusers' layout.

    Attributes:
        tensors: The tensors.
        places: Where every tensor of diffusers' layout is among them.
        held: By a tensor, what it holds of diffusers' layout, in the order of its rows.
    """

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self.tensors, self.places = tensors, diffusers_names(tensors)
        self.held: dict[str, list[str]] = {}
        for name, place in self.places.items():
            self.held.setdefault(place.name, []).append(name)


class Fitted(NamedTuple):
    """A model under the names of another.

    Attributes:
        plain: The model's own tensors, by the other's names, in the shapes that the other has.
        pieced: What is put together of parts, by the other's names.
        extra: The model's tensors that the other has under no name.
    """

    plain: dict[str, TensorInfo]
    pieced: dict[str, Pieced]
    extra: list[str]

    def is_as_saved(self, tensors: Mapping[str, TensorInfo]) -> bool:
        """Tell whether everything has the name and shape that it has in the model, whose tensors these are."""
        return not self.pieced and all(tensors.get(name) == tensor for name, tensor in self.plain.items())


def fit(reference: Layout, model: Layout, where: str) -> Fitted:
    """Return a model under the names of another.

    Args:
        reference: Whose names are wanted.
        model: The model.
        where: What the model is called in messages.

    Raises:
        MergeError: Tensors that are one in the other model are of several types in this one.
    """
    plain: dict[str, TensorInfo] = {}
    pieced: dict[str, Pieced] = {}
    used: set[str] = set()
    for name, wanted in reference.tensors.items():
        held = reference.held.get(name)
        if held is None:  # a buffer outside of the networks, under the same name or none
            if name in model.tensors and name not in model.held:
                plain[name] = model.tensors[name]
                used.add(name)
        elif all(part in model.places for part in held):
            parts = list(_joined(_part(reference.places[part], model, model.places[part]) for part in held))
            _check_types(parts, name, where)
            used.update(part.tensor.name for part in parts)
            shape = _shape(wanted, reference, model, held)
            if len(parts) == 1 and _is_whole(parts[0]):
                plain[name] = parts[0].tensor._replace(shape=shape)
            else:
                pieced[name] = Pieced(tuple(parts), shape)
    return Fitted(plain, pieced, [name for name in model.tensors if name not in used])


def _part(wanted: Place, model: Layout, place: Place) -> Part:
    """Return the rows of the model's tensor that one of diffusers' layout is, its axes as the other model has them."""
    tensor = model.tensors[place.name]
    rows = (0, tensor.shape[0] if tensor.shape else 1) if place.rows is None else (place.rows.start, place.rows.stop)
    return Part(tensor, rows, transposed=place.transposed != wanted.transposed)


def _joined(parts: Iterator[Part]) -> Iterator[Part]:
    """Yield parts with those that follow each other in one tensor as one."""
    last: Part | None = None
    for part in parts:
        if last is not None and part.follows(last):
            last = last._replace(rows=(last.rows[0], part.rows[1]))
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


def _is_whole(part: Part) -> bool:
    return not part.transposed and part.nbytes == part.tensor.nbytes


def _shape(wanted: TensorInfo, reference: Layout, model: Layout, held: Sequence[str]) -> tuple[int, ...]:
    """Return the shape in which the other model has the same numbers; where it has other numbers, this model's."""
    shapes = [model.places[part].shape for part in held]
    if all(_core(model.places[part].shape) == _core(reference.places[part].shape) for part in held):
        return wanted.shape
    if len(shapes) == 1:
        return shapes[0][::-1] if reference.places[held[0]].transposed else shapes[0]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the kernel of a 1x1 convolution."""
    return shape[:2] if shape[2:] in ((1,), (1, 1)) else shape


def _check_types(parts: Sequence[Part], name: str, where: str) -> None:
    types = sorted({part.tensor.dtype for part in parts})
    if len(types) > 1:
        names = ", ".join(f"'{part.tensor.name}'" for part in parts)
        what = f"{names} are of several types ({', '.join(types)}); together they are '{name}' in the other model"
        raise MergeError(what, where=where, hint="merge cast MODEL --dtype float16 -o OUT gives them one type")
