"""Pairs of factors ▸ products that fit the base's weights: rank, shapes, orientation, magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from .changes import Product
from .config import AdapterConfig
from .contents import Contents
from .naming import Names

_LINEAR, _EMBEDDING, _MAGNITUDE = (
    ("lora_A", "lora_B"),
    ("lora_embedding_A", "lora_embedding_B"),
    "lora_magnitude_vector",
)
Parts = Mapping[str, TensorInfo]


class Products:
    """Makes products of an adapter's factors.

    A weight of a linear layer is [outputs, inputs], that of GPT-2's Conv1D and of an embedding [inputs, outputs].
    Where a weight is square, its shape does not tell; then the weights that are not square do, or else the
    configuration's ``fan_in_fan_out``.
    """

    def __init__(self, contents: Contents, config: AdapterConfig, names: Names, where: str) -> None:
        self._config, self._names, self._where, self._hint = config, names, where, names.trained_on
        shapes = [
            (parts["lora_A"].shape, parts["lora_B"].shape, names.weight(module).shape)
            for module, parts in contents.factors.items()
            if "lora_A" in parts and "lora_B" in parts
        ]
        seen = {_orientation(*each) for each in shapes} - {None}
        self._transposed = bool(seen.pop()) if len(seen) == 1 else config.flag("fan_in_fan_out")

    def of(self, module: str, parts: Parts, weight: TensorInfo) -> Product:
        """Return the product of a module's factors.

        Raises:
            MergeError: A factor is missing or too many, or does not fit.
        """
        first, second = _EMBEDDING if _EMBEDDING[0] in parts else _LINEAR
        self._check_parts(module, parts, first, second)
        a, b = parts[first], parts[second]
        self._check_rank(module, a, b)
        transposed = first == _EMBEDDING[0] or self._is_transposed(module, a, b, weight)
        expected = (a.shape[1], b.shape[0]) if transposed else (b.shape[0], *a.shape[1:])
        if weight.shape != expected or prod(b.shape[2:]) != 1:
            raise self._unfit(module, a, b, weight)
        magnitude = parts.get(_MAGNITUDE)
        if magnitude is not None and prod(magnitude.shape) != b.shape[0]:
            what = f"the magnitudes of '{module}' are {list(magnitude.shape)} for {b.shape[0]} outputs"
            raise MergeError(what, where=self._where, hint=self._hint)
        return Product(a, b, self._scaling(module), transposed, magnitude)

    def _scaling(self, module: str) -> float:
        """Return the factor of a module's product.

        PEFT adds the product of the output layer of torch's own attention twice, in training as in its own merge.
        """
        attention = self._names.attention_of(module)
        return self._config.scaling(module) if attention is None else 2 * self._config.scaling(attention)

    def _check_parts(self, module: str, parts: Parts, first: str, second: str) -> None:
        dora = self._config.flag("use_dora")
        needed = {first, second, *([_MAGNITUDE] if dora else [])}
        missing, surplus = needed - parts.keys(), parts.keys() - needed - {"lora_B.bias"}
        if missing:
            raise MergeError(f"'{module}' lacks its {sorted(missing)[0]}", where=self._where, hint="save it anew")
        if surplus:
            unsaid = " without 'use_dora' in the configuration" if surplus == {_MAGNITUDE} else ""
            raise MergeError(f"'{module}' has a {sorted(surplus)[0]}{unsaid}", where=self._where)

    def _check_rank(self, module: str, a: TensorInfo, b: TensorInfo) -> None:
        rank = self._config.rank(self._names.attention_of(module) or module)
        if len(a.shape) < 2 or len(b.shape) < 2 or not a.nbytes or not b.nbytes:
            what = f"the factors of '{module}' are {list(a.shape)} and {list(b.shape)}, which are no matrices"
            raise MergeError(what, where=self._where, hint="a sharded training run must gather them before it saves")
        if a.shape[0] != rank or b.shape[1] != rank:
            what = f"the factors of '{module}' are {list(a.shape)} and {list(b.shape)}, and its rank is {rank}"
            raise MergeError(what, where=self._where, hint="do adapter_config.json and the weights belong together?")

    def _is_transposed(self, module: str, a: TensorInfo, b: TensorInfo, weight: TensorInfo) -> bool:
        found = _orientation(a.shape, b.shape, weight.shape)
        square = len(weight.shape) == 2 and a.shape[1] == b.shape[0]
        return self._transposed if found is None and square else bool(found)

    def _unfit(self, module: str, a: TensorInfo, b: TensorInfo, weight: TensorInfo) -> MergeError:
        groups = len(weight.shape) > 2 and a.shape[1] != weight.shape[1]
        hint = "a convolution in groups is not read" if groups else self._hint
        what = f"the factors of '{module}', {list(a.shape)} and {list(b.shape)}, do not fit the base's"
        return MergeError(f"{what} {list(weight.shape)}", where=self._where, hint=hint)


def _orientation(a: tuple[int, ...], b: tuple[int, ...], weight: tuple[int, ...]) -> bool | None:
    """Tell whether a matrix is stored as [inputs, outputs]; None where its shape does not tell."""
    if not len(a) == len(b) == len(weight) == 2 or a[1] == b[0]:
        return None
    return True if weight == (a[1], b[0]) else False if weight == (b[0], a[1]) else None
