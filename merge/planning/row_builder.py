"""Decides row by row what becomes of every tensor: by its kind, by who has it, by the choices of the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from ..checkpoints.checkpoint import Source
from ..checkpoints.derived import same_tensors
from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES
from ..errors import MergeError, UsageError
from ..program import Expression, Input
from .learned import Learned
from .names import Matched
from .reference import Reference
from .refusal import refusal
from .resolver import Resolver
from .rows import Action, Ledger, Policies, Row, Skip
from .tensor_rules import is_of_checker, treatment

_FLOATING = frozenset(code for code, dtype in DTYPES.items() if dtype.kind == "float")
_NONE: frozenset[int] = frozenset()


class RowBuilder:
    """Builds the ledger of a merge.

    Args:
        opened: The sources.
        matched: Each source's tensors under the reference's names, in the same order.
        reference: What decides names, types, shapes and order, and which sources enter a tensor; the others serve types
            and copies.
        merged, averaged: What is computed for parameters and for BatchNorm statistics.
        policies: The choices.
        learned: The statistics files among the sources.
    """

    def __init__(
        self,
        opened: Sequence[Source],
        matched: Sequence[Matched],
        reference: Reference,
        merged: Resolver | None,
        averaged: Resolver | None,
        policies: Policies,
        learned: Learned,
    ) -> None:
        self._opened, self._matched, self._reference = opened, matched, reference
        self._merged, self._averaged, self._policies = merged, averaged, policies
        self._learned = learned
        self._problems: dict[str, list[str]] = {"missing": [], "mismatch": []}
        self.ledger = Ledger()

    def build(self) -> Ledger:
        """Return the ledger.

        Raises:
            MergeError: When tensors are missing or differ in shape and the policy is ``error``.
        """
        others = [matched.tensors for matched in self._matched]
        for name, known in self._reference.tensors.items():
            self._add(name, known, tuple([tensors.get(name) for tensors in others]))
        self._add_extra()
        for policy, problems in self._problems.items():
            if problems:
                raise refusal(policy, problems, self._opened)
        self._add_checks()
        return self.ledger

    def _add(self, name: str, known: TensorInfo, tensors: tuple[TensorInfo | None, ...]) -> None:
        action, reason = treatment(name, known.dtype, known.shape)
        if self._policies.kept(name):
            return self._row(name, known, "copy", self._origin(name), tensors, "kept", known.dtype)
        if action == "copy":
            dtype = self._dtype(known) if is_of_checker(name) and known.dtype in _FLOATING else known.dtype
            return self._row(name, known, "copy", self._origin(name), tensors, reason, dtype)
        if None in tensors:
            absent = frozenset(source for source in self._reference.used(name) if tensors[source] is None)
            if absent:
                return self._add_by_policy("missing", name, known, tensors, absent)
        for tensor in tensors:
            if tensor is not None and tensor.shape != known.shape:
                used = self._reference.used(name)
                unlike = [source for source in used if (t := tensors[source]) and t.shape != known.shape]
                if unlike:
                    return self._add_by_policy("mismatch", name, known, tensors, frozenset(unlike))
        return self._add_merged(name, known, tensors, action, reason, _NONE)

    def _add_merged(
        self,
        name: str,
        known: TensorInfo,
        tensors: tuple[TensorInfo | None, ...],
        action: Action,
        reason: str,
        absent: frozenset[int],
    ) -> None:
        resolver = self._averaged if action == "average" else self._merged
        expression = self._expression(resolver, name, absent)
        if expression is None:
            self._add_unmerged(name, known, tensors, reason)
            return
        if isinstance(expression, Input):
            action, reason = "copy", self._why_copied() or reason or "cast"
        self.ledger.averaged += action == "average"
        self._check_kinds(name, tensors)
        self._row(name, known, action, expression, tensors, reason, self._dtype(known))

    def _expression(self, resolver: Resolver | None, name: str, absent: frozenset[int]) -> Expression | None:
        if resolver is None:
            return self._origin(name)
        try:
            return resolver.expression(name, absent)
        except UsageError as error:
            if not (absent or resolver.decides_by_name):
                raise
            raise UsageError(f"tensor '{name}': {error.what}", where=error.where, hint=error.hint) from None

    def _why_copied(self) -> str:
        if self._merged is None:
            return ""
        return "taken as it is" if self._reference.is_assembled else "kept"

    def _origin(self, name: str) -> Input:
        """Return the tensor as the source has it that decides about it."""
        return Input(self._reference.origin(name))

    def _add_unmerged(self, name: str, known: TensorInfo, tensors: tuple[TensorInfo | None, ...], reason: str) -> None:
        """Under average-present, nothing is left to merge: all task vectors are absent, or the base is."""
        if tensors[self._reference.origin(name)] is None:
            self._problems["missing"].append(f"'{name}': the base lacks it, so there is no task vector")
        else:
            self._row(name, known, "copy", self._origin(name), tensors, reason, self._dtype(known))

    def _dtype(self, known: TensorInfo) -> str:
        return self._policies.dtype or known.dtype

    def _row(
        self,
        name: str,
        known: TensorInfo,
        action: Action,
        expression: Expression,
        tensors: tuple[TensorInfo | None, ...],
        reason: str,
        dtype: str,
    ) -> None:
        asides = []
        for statistic, info in self._learned.infos(expression, name):
            if statistic.aligned:
                tensors = (*tensors[: statistic.source], info, *tensors[statistic.source + 1 :])
            else:
                asides.append((statistic.source, info))
        row = Row(name, dtype, known.shape, action, expression, tensors, reason, asides=tuple(asides))
        self.ledger.rows.append(row)

    def _check_kinds(self, name: str, tensors: Iterable[TensorInfo | None]) -> None:
        for source, tensor in enumerate(tensors):
            if tensor is not None and tensor.dtype not in _FLOATING:
                where = self._opened[source].location
                raise MergeError(f"tensor '{name}' is {tensor.dtype} here and floating elsewhere", where=where)

    def _add_by_policy(
        self,
        kind: Literal["missing", "mismatch"],
        name: str,
        known: TensorInfo,
        tensors: tuple[TensorInfo | None, ...],
        unfit: frozenset[int],
    ) -> None:
        policy = self._policies.missing if kind == "missing" else self._policies.mismatch
        reason = f"{'absent from' if kind == 'missing' else 'of another shape in'} {self._locations(unfit)}"
        if policy == "error":
            self._problems[kind].append(
                f"'{name}' {reason}{self._shapes(known, tensors) if kind == 'mismatch' else ''}"
            )
        elif policy == "skip":
            present = (source for source, tensor in enumerate(tensors) if tensor is not None)
            self.ledger.skips += [Skip(source, tensors[source].name, reason) for source in present]  # type: ignore[union-attr]
        elif policy == "base" and name in self._reference.tensors:
            self._row(name, known, "copy", self._origin(name), tensors, f"from the base: {reason}", known.dtype)
        elif policy == "base":
            holders = (source for source, tensor in enumerate(tensors) if tensor is not None)
            self.ledger.skips += [Skip(source, name, "not in the base") for source in holders]
        else:
            fit = tuple(None if source in unfit else tensor for source, tensor in enumerate(tensors))
            action, why = treatment(name, known.dtype, known.shape)
            self._add_merged(name, known, fit, action, why or f"averaged where present: {reason}", unfit)
            self._skip_unlike(unfit, tensors, reason)

    def _skip_unlike(self, unfit: frozenset[int], tensors: Sequence[TensorInfo | None], reason: str) -> None:
        for source in sorted(unfit):
            tensor = tensors[source]
            if tensor is not None:
                self.ledger.skips.append(Skip(source, tensor.name, reason))

    def _add_extra(self) -> None:
        """Decide about tensors that the reference does not have; each name once, whoever has it."""
        seen: set[str] = set()
        for source, matched in enumerate(self._matched):
            for name, twin in matched.tied.items():
                self.ledger.skips.append(Skip(source, name, f"tied to '{twin}', which is merged", twin))
            for name in matched.extra:
                if name not in seen:
                    seen.add(name)
                    tensors = tuple(
                        opened.tensors[name] if name in other.extra else None
                        for opened, other in zip(self._opened, self._matched, strict=True)
                    )
                    self._add_foreign(name, self._opened[source].tensors[name], tensors)

    def _add_foreign(self, name: str, known: TensorInfo, tensors: tuple[TensorInfo | None, ...]) -> None:
        action, reason = treatment(name, known.dtype, known.shape)
        if action == "copy":  # a buffer that a library version saves or not; there is nothing to merge in it
            self._add_foreign_buffer(name, known, tensors, reason)
            return
        expected = self._reference.used(name) | {self._reference.position}
        absent = frozenset(source for source in expected if tensors[source] is None)
        unlike = frozenset(source for source, tensor in enumerate(tensors) if tensor and tensor.shape != known.shape)
        self._add_by_policy("missing", name, known, tensors, absent | unlike)

    def _add_foreign_buffer(
        self, name: str, known: TensorInfo, tensors: tuple[TensorInfo | None, ...], reason: str
    ) -> None:
        holders = [source for source, tensor in enumerate(tensors) if tensor]
        if self._policies.missing == "average-present" and not is_of_checker(name):
            self._row(name, known, "copy", Input(holders[0]), tensors, reason, known.dtype)
        else:
            self.ledger.skips += [Skip(source, name, f"{reason} that the output's model lacks") for source in holders]

    def _add_checks(self) -> None:
        """Every input's content id covers all of its tensors, so those that no row reads are read for it."""
        read = {(source, t.name) for row in self.ledger.rows for source, t in enumerate(row.tensors) if t}
        self.ledger.same = same_tensors(read, self._opened)
        read |= self.ledger.same.keys()
        if len(read) == sum(len(source.tensors) for source in self._opened):
            return
        for source, opened in enumerate(self._opened):
            for tensor in opened.tensors.values():
                if (source, tensor.name) not in read:
                    tensors = tuple(tensor if other == source else None for other in range(len(self._opened)))
                    self.ledger.rows.append(Row(tensor.name, tensor.dtype, tensor.shape, "check", None, tensors))

    def _locations(self, sources_: Iterable[int]) -> str:
        return ", ".join(self._opened[source].location for source in sorted(sources_))

    def _shapes(self, known: TensorInfo, tensors: Sequence[TensorInfo | None]) -> str:
        unlike = next(tensor for tensor in tensors if tensor is not None and tensor.shape != known.shape)
        return f" ({list(unlike.shape)} instead of {list(known.shape)})"
