"""Adapters and a request ▸ the tensors of the one adapter, kept in a spool until they are written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TYPE_CHECKING, Any

from ...engine import RunSettings, cores, run
from ...errors import MergeError
from ...planning.rows import Row
from ...streaming.rounding import rounded
from ..elements import elements
from ..low_rank.device import Factoriser
from ..low_rank.sink import WholeSink, run_into
from ..low_rank.spool import Spool
from ..low_rank.writing import AdapterTensor
from .keeping import Advance, Keeper
from .planning import WEIGHT, coefficients, plan_products, plan_whole
from .request import Request
from .shaping import Outcome, truncation_of
from .sums import Sum, side_by_side, truncated
from .terms import term_of
from .uniting import United

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_THREADS = 8


class Maker:
    """Makes an adapter.

    Args:
        united: The adapters.
        request: What is asked for.
        dtype: Format code of the factors' type.
        spool: Where tensors are kept.
        settings: How a plan of products is run.
        device: Where matrices are factorised: ``cpu``, or a GPU by torch's name.
        advance: Called with the number of modules that were finished, from any thread.
    """

    def __init__(
        self,
        united: United,
        request: Request,
        dtype: str,
        spool: Spool,
        settings: RunSettings,
        device: str = "cpu",
        advance: Advance = lambda modules: None,
    ) -> None:
        self._united, self._request, self._dtype = united, request, dtype
        self._settings, self._factoriser = settings, Factoriser(dtype, device)
        self._keeper = Keeper(united, dtype, spool, advance)

    def make(self) -> Outcome:
        """Make all of it.

        Raises:
            MergeError: An entry is not finite or does not fit into its type, or nothing is left.
        """
        whole = self._whole()
        if self._united.addends:
            self._add_sums() if self._request.is_sum else self._add_products()
        found = self._keeper.found
        if not (found or whole):
            raise MergeError("what is added is 0 in every module, of which no adapter can be made")
        modules = [found[module] for module in self._united.addends if module in found]
        return Outcome(modules, whole, [module for module in self._united.addends if module not in found])

    def _add_sums(self) -> None:
        factors = coefficients(plan_products(self._united, self._request.recipe))
        with ThreadPoolExecutor(self._settings.threads or min(cores(), MOST_THREADS)) as pool:
            list(pool.map(lambda module: self._add_sum(module, factors[f"{module}{WEIGHT}"]), self._united.addends))

    def _add_sum(self, module: str, factors: Sequence[float]) -> None:
        """Add the products of one module, each times its factor."""
        truncation, members = self._request.truncation, zip(self._united.members, factors, strict=True)
        used = [(member, factor) for member, factor in members if module in member.addends and factor]
        terms = [term_of(member, module, factor) for member, factor in used]
        terms = [term for term in terms if term.coefficient]
        shifts = any(member.addends[module].shift is not None for member, _ in used)
        if terms and (shifts or any(term.a.any() and term.b.any() for term in terms)):
            made = truncated(terms, truncation, self._dtype) if truncation else side_by_side(terms, self._dtype)
            self._keeper.keep(module, made, self._shift(module, factors, made.scaling))

    def _shift(self, module: str, factors: Sequence[float], scaling: float) -> NDArray[Any] | None:
        """Return what is added to a module's bias besides, where any adapter adds something."""
        total: NDArray[Any] | None = None
        for member, addend, factor in zip(self._united.members, self._united.addends[module], factors, strict=True):
            if addend is not None and addend.shift is not None:
                values = elements(addend.shift, member.weights.read_into, 0, prod(addend.shift.shape), "float64")
                values *= factor * addend.scaling / scaling
                total = values if total is None else total + values
        return None if total is None else rounded(total, self._dtype)

    def _add_products(self) -> None:
        plan = plan_products(self._united, self._request.recipe)
        run_into(plan, WholeSink(plan.rows, lambda row: True, self._factorise), self._settings)

    def _factorise(self, row: Row, outcome: NDArray[Any]) -> None:
        module = row.name.removesuffix(WEIGHT)
        matrix, truncation = outcome.reshape(row.shape[0], -1), truncation_of(self._united, self._request, module)
        factors = self._factoriser(matrix, truncation, row.name)
        if factors is not None:
            is_turned = self._united.first_of(module).is_transposed
            a, b = (factors.b.T, factors.a.T) if is_turned else (factors.a, factors.b)
            self._keeper.keep(module, Sum(a, b, 1.0, factors.norm, factors.error))

    def _whole(self) -> list[AdapterTensor]:
        plan = plan_whole(self._united, self._request)
        if plan is None:
            return []
        found: dict[str, AdapterTensor] = {}

        def take(row: Row, outcome: NDArray[Any]) -> None:
            found[row.name] = self._keeper.tensor(row.name, row.dtype, outcome)

        run(plan, WholeSink(plan.rows, lambda row: True, take), self._settings)
        return [found[name] for name in self._united.all_whole]
