"""Matrices of an adapter that are held as a whole while their rows are asked for."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from math import prod
from typing import TYPE_CHECKING, Any

from ..checkpoints.header import TensorInfo
from .blas import one_blas_thread
from .differences import LowRank, Whole
from .elements import ReadPart, all_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Loaded(ABC):
    """What is loaded once, by whoever asks first."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._kept: Any = None

    @abstractmethod
    def _load(self) -> Any:
        """Return what is kept."""

    @property
    def _loaded(self) -> Any:
        with self._loading:
            if self._kept is None:
                self._kept = self._load()
            return self._kept

    def forget(self) -> None:
        """Give the memory back."""
        self._kept = None


class TransposedRows(_Loaded):
    """A stored matrix the other way around, for which all of it is held."""

    def __init__(self, whole: Whole, read: ReadPart, wanted: Any) -> None:
        super().__init__()
        self._whole, self._read, self._wanted = whole, read, wanted

    def _load(self) -> NDArray[Any]:
        values = all_of(self._whole.tensor, self._read, self._wanted)
        return values.reshape(self._whole.tensor.shape[0], -1).T

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows of the matrix as the weight stores it."""
        found: NDArray[Any] = self._loaded[first:last].copy()
        return found


class ProductRows(_Loaded):
    """A product of factors, which are held; its rows are multiplied as they are asked for."""

    def __init__(self, factors: LowRank, read: ReadPart, wanted: Any) -> None:
        super().__init__()
        self._factors, self._read, self._wanted = factors, read, wanted

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Return rows of the product as the weight stores it."""
        import numpy as np

        left, right = self._loaded
        with one_blas_thread(), np.errstate(all="ignore"):  # what is not finite is found in the outcome
            found: NDArray[Any] = left[first:last] @ right
        return found

    def _load(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return factors of which the rows of the first belong to the weight's: [rows, rank], [rank, columns]."""
        import numpy as np

        factors = self._factors
        left, right = self._matrix(factors.left), self._matrix(factors.right)
        left = left.T if factors.turned else left
        if factors.core is not None:
            right = self._with_core(factors.core, right)
        if factors.transposed:
            left, right = right.T, left.T
        return np.ascontiguousarray(left), np.ascontiguousarray(right)

    def _matrix(self, tensor: TensorInfo) -> NDArray[Any]:
        return all_of(tensor, self._read, self._wanted).reshape(tensor.shape[0], -1)

    def _with_core(self, core: TensorInfo, right: NDArray[Any]) -> NDArray[Any]:
        """Return core and right factor multiplied: [rank of the left one, inputs · kernel]."""
        import numpy as np

        kernel = prod(core.shape[2:])
        values = all_of(core, self._read, self._wanted).reshape(*core.shape[:2], kernel)
        with one_blas_thread():
            found: NDArray[Any] = np.einsum("mnk,nj->mjk", values, right, optimize=True)
        return found.reshape(core.shape[0], -1)
