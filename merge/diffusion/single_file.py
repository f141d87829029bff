"""What the single file of a diffusion model would be whose components lie in a folder: ldm's names, read backwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..checkpoints.header import TensorInfo
from .modules import Place, front_of, joined
from .section import Section
from .table import LDM_PREFIXES

# By family and component, what the names begin with.
_PREFIXES = {
    "sd1": ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."),
    "sd2": ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."),
    "sdxl": (
        "conditioner.embedders.0.transformer.",
        "conditioner.embedders.1.model.",
        "model.diffusion_model.",
        "first_stage_model.",
    ),
    "sdxl-refiner": ("conditioner.embedders.0.model.", "model.diffusion_model.", "first_stage_model."),
}


def can_be_single(family: str) -> bool:
    """Tell whether it is known what the single file of a family would be."""
    return family in _PREFIXES


def ldm_tensors(places: Mapping[str, Place], family: str) -> dict[str, TensorInfo]:
    """Return names and shapes of the single file that holds the tensors of a folder; they lie nowhere yet.

    The noise schedule is not among them, nor what diffusers leaves out: programs that read such files make it.

    Args:
        places: What the folder holds, in diffusers' names.
        family: The family's name; one of those that the table covers.
    """
    found: dict[str, TensorInfo] = {}
    for prefix in _PREFIXES[family]:
        component, section = LDM_PREFIXES[prefix]
        back = _Backwards(section)
        front = f"{component}."
        inner = {name.removeprefix(front): place for name, place in places.items() if name.startswith(front)}
        for name, shape in back.tensors(inner):
            found[prefix + name] = TensorInfo(prefix + name, "F16", shape, 0, 0, 0)
    return found


class _Backwards:
    """A section of the table, read from diffusers' names to ldm's."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._leaves = {new: old for old, new in section.leaves.items()}
        self._fused = {part: (name, parts) for name, parts in section.fused.items() for part in parts}
        self._places: dict[str, list[str]] = {}
        for old, new in section.places.items():
            self._places.setdefault(new, []).append(old)

    def tensors(self, inner: Mapping[str, Place]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of every tensor; of one that holds several here, once."""
        fronts = {front_of(name, self._places) for name in inner}
        for name, place in inner.items():
            front = front_of(name, self._places)
            leaf = name[len(front) :].removeprefix(".")
            if self._section.fused and not front:
                continue  # a buffer of transformers' own, for which OpenCLIP has no name
            old = self._place(front, fronts)
            if leaf in self._fused:
                fused, parts = self._fused[leaf]
                if leaf == parts[0]:
                    yield joined(old, fused), (len(parts) * place.shape[0], *place.shape[1:])
                continue
            whole = joined(old, self._leaf(leaf) if front else leaf)
            yield whole, self._shape(whole, front, leaf, place.shape)

    def _place(self, front: str, fronts: set[str]) -> str:
        """Return a module's name in ldm; an upsampler has one number more behind an attention."""
        candidates = self._places.get(front, [front])
        level = front.partition(".upsamplers")[0]
        behind = any(other.startswith(f"{level}.attentions.") for other in fronts)
        return candidates[-1 if behind else 0]

    def _leaf(self, leaf: str) -> str:
        stem, dot, kind = leaf.rpartition(".")
        return f"{self._leaves.get(stem, stem)}{dot}{kind}"

    def _shape(self, name: str, front: str, leaf: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if name in self._section.transposed:
            return shape[::-1]
        is_matrix = len(shape) == 2 and front in self._section.flattened and leaf.endswith(".weight")
        return (*shape, 1, 1) if is_matrix else shape
