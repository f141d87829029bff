"""An adapter's tensors for one module ▸ the form of the difference they stand for, of the weight's shape."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from .differences import Difference, Hadamard, Kronecker, LowRank, Whole
from .form_checks import FormChecks, flat_shape, trimmed

_LOHA, _LOKR = "hada_", "lokr_"


class Form(NamedTuple):
    """A difference and its rank, which divides alpha.

    Attributes:
        difference: What is added.
        rank: None where nothing is factorised, and alpha means nothing.
    """

    difference: Difference
    rank: int | None


class Forms(FormChecks):
    """Makes forms of a module's tensors."""

    def form(self) -> Form:
        """Return the form.

        Raises:
            MergeError: A tensor is missing or too many, or does not fit.
        """
        if any(name.startswith(_LOHA) for name in self._parts):
            return self._hadamard()
        if any(name.startswith(_LOKR) for name in self._parts):
            return self._kronecker()
        if "diff" in self._parts:
            self._only("diff")
            self._fit(self._parts["diff"].shape)
            return Form(Whole(self._parts["diff"], self._transposed), None)
        return self._low_rank()

    def _low_rank(self) -> Form:
        self._only("up", "down", *self._given("mid"))
        up, down, core = self._parts["up"], self._parts["down"], self._parts.get("mid")
        if prod(up.shape[2:]) != 1:
            raise self._unfit(f"its factor '{up.name}' is {list(up.shape)}")
        self._check_ranks(up.shape[1:2], down.shape[:1], core)
        self._fit((*up.shape[:1], *trimmed(down.shape)[1:2], *(core.shape if core else down.shape)[2:]))
        return Form(LowRank(up, down, core, transposed=self._transposed), down.shape[0])

    def _hadamard(self) -> Form:
        cores = self._given("hada_t1", "hada_t2")
        if len(cores) == 1:
            raise self._lacking(({"hada_t1", "hada_t2"} - set(cores)).pop())
        self._only("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", *cores)
        halves = [
            self._factors(*(self._parts.get(f"hada_{name}") for name in (f"w{number}_a", f"w{number}_b", f"t{number}")))
            for number in (1, 2)
        ]
        for factors in halves:
            self._fit_flat(flat_shape(factors))
        return Form(Hadamard(*halves), self._parts["hada_w1_b"].shape[0])

    def _kronecker(self) -> Form:
        coarse = self._side("lokr_w1", None)
        fine = self._side("lokr_w2", "lokr_t2")
        allowed = [name for name in self._parts if name.startswith("lokr_w")]
        cores = self._given("lokr_t2") if isinstance(fine, LowRank) else []
        self._only(*allowed, *cores)
        if isinstance(coarse, Whole) and len(coarse.tensor.shape) != 2:
            raise self._unfit(f"its 'lokr_w1' is {list(coarse.tensor.shape)}")
        one, other = flat_shape(coarse), flat_shape(fine)
        self._fit_flat((one[0] * other[0], one[1] * other[1]))
        ranks = [side.right.shape[0] for side in (coarse, fine) if isinstance(side, LowRank)]
        return Form(Kronecker(coarse, fine), ranks[-1] if ranks else None)

    def _side(self, name: str, core: str | None) -> Whole | LowRank:
        """Return one of the matrices of a Kronecker product: whole, or of two factors."""
        whole, pair = self._given(name), self._given(f"{name}_a", f"{name}_b")
        if whole and pair:
            raise MergeError(f"'{self._module}' has '{name}' and '{pair[0]}'", where=self._where)
        if whole:
            return Whole(self._parts[name], self._transposed)
        for part in (f"{name}_a", f"{name}_b"):
            if part not in self._parts:
                raise self._lacking(part if pair else name)
        return self._factors(*(self._parts.get(part) for part in (f"{name}_a", f"{name}_b", core or "")))

    def _factors(self, left: TensorInfo | None, right: TensorInfo | None, core: TensorInfo | None) -> LowRank:
        """Return factors; with a core the left one has its rank first."""
        assert left is not None  # noqa: S101 - looked for before
        assert right is not None  # noqa: S101
        turned = core is not None
        self._check_ranks(left.shape[:1] if turned else left.shape[1:2], right.shape[:1], core)
        return LowRank(left, right, core, turned, self._transposed)
