"""An adapter's tensors ▸ what becomes of every tensor of the base, or the reason why the two do not fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from ..checkpoints.checkpoint import FileCheckpoint
from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES
from ..errors import MergeError
from .changes import Change, Part, Product, Shift, TrainedRows
from .config import AdapterConfig
from .contents import Contents
from .forms import Forms
from .naming import Names
from .products import Products
from .targets import check_targets
from .vocabulary import Vocabulary, new_vocabulary, resized


@dataclass(frozen=True)
class Fitted:
    """What an adapter does.

    Attributes:
        changes: By name in the baked model.
        notes: What the user should know.
        vocabulary: The numbers of tokens, where the adapter comes with more or fewer than the base has.
    """

    changes: Mapping[str, Change]
    notes: list[str]
    vocabulary: Vocabulary | None = None


def fit(contents: Contents, config: AdapterConfig, base: FileCheckpoint, where: str) -> Fitted:
    """Decide about every tensor of an adapter, from headers alone.

    Raises:
        MergeError: A tensor fits nothing in the base, or is not accounted for by the configuration.
    """
    check_targets(contents.factors, config)
    fitting = _Fitting(contents, config, base, where)
    fitting.add_whole()
    fitting.add_factors()
    fitting.add_tokens()
    if not fitting.changes:
        raise MergeError("the adapter holds no tensors", where=where)
    return Fitted(fitting.changes, fitting.notes, new_vocabulary(fitting.changes, base, where))


class _Fitting:
    def __init__(self, contents: Contents, config: AdapterConfig, base: FileCheckpoint, where: str) -> None:
        self._contents, self._config, self._base, self._where = contents, config, base, where
        self._names = Names(contents, config, base, where)
        self.notes = self._names.notes
        self.changes: dict[str, Change] = {}

    def add_whole(self) -> None:
        """Take the tensors that were trained whole; those that the base lacks only if the configuration names them."""
        for name, tensor in self._contents.whole.items():
            base = self._names.whole(name)
            if base is not None:
                self._update(base, self._check_whole(name, tensor, base), whole=tensor)
            elif self._names.is_tied_copy(name):
                self.notes.append(f"'{name}' of the adapter is left out: the base ties it to the embedding")
            else:
                self.notes.append(f"'{name}' is the adapter's alone; the base has none")
                self.changes[name] = Change(tensor._replace(name=name), None, whole=tensor)

    def _check_whole(self, name: str, tensor: TensorInfo, base: TensorInfo) -> TensorInfo:
        """Return the base's tensor as it will be: with other rows, where those are of tokens."""
        target = base if base.shape == tensor.shape else resized(name, tensor, base)
        if target is None:
            what = f"'{name}' is {list(tensor.shape)}, and {list(base.shape)} in the base"
            raise self._unfit(what, "another base? where its vocabulary was resized, let PEFT bake it")
        if base.dtype != tensor.dtype:
            self._check_floating([tensor, base])
        return target

    def add_factors(self) -> None:
        """Take the products of factors, and what was trained of their layers' biases."""
        products = Products(self._contents, self._config, self._names, self._where)
        for module, parts in self._contents.factors.items():
            weight = self._target(module)
            if not self._config.is_lora:
                self._add_form(module, parts, weight)
                continue
            product = products.of(module, parts, weight)
            self._check_floating([weight, *parts.values()])
            self._update(weight, product=product)
            shift = parts.get("lora_B.bias")
            if shift is not None:
                bias = self._names.bias(module)
                self._check_shape(module, shift, bias)
                self._check_floating([bias])
                self._update(bias, shift=Shift(shift, product.scaling))

    def _add_form(self, module: str, parts: Mapping[str, TensorInfo], weight: TensorInfo) -> None:
        """Take a difference that is no plain product: LoHa's, LoKr's."""
        self._check_floating([weight, *parts.values()])
        form = Forms(module, parts, weight.shape, False, self._where, self._names.trained_on).form()
        if form.rank not in (None, self._config.rank(module)):
            what = f"the factors of '{module}' are of rank {form.rank}, and its rank is {self._config.rank(module)}"
            raise MergeError(what, where=self._where, hint="do adapter_config.json and the weights belong together?")
        self._update(weight, parts=(Part(form.difference, self._config.scaling(module), 0, weight.shape[0]),))

    def add_tokens(self) -> None:
        """Take the rows of embeddings that were trained."""
        for module, rows in self._contents.tokens.items():
            weight, places = self._target(module), self._places(module)
            if rows.shape != (len(places), prod(weight.shape[1:])):
                what = f"'{module}' has trained tokens of shape {list(rows.shape)}, and {len(places)} are listed"
                raise MergeError(f"{what} for a weight of {list(weight.shape)}", where=self._where)
            if not all(0 <= place < weight.shape[0] for place in places):
                raise self._unfit(f"token {max(places)} is trained, and '{module}' has {weight.shape[0]} rows", "")
            self._check_floating([weight, rows])
            self._update(weight, trained=TrainedRows(rows, places))

    def _places(self, module: str) -> tuple[int, ...]:
        listed = self._config.values.get("trainable_token_indices")
        if isinstance(listed, Mapping):
            fitting = (value for name, value in listed.items() if module == name or module.endswith(f".{name}"))
            listed = next(fitting, None)
        if not isinstance(listed, list) or not all(type(place) is int for place in listed):
            what = f"'trainable_token_indices' lists no tokens of '{module}', for which the adapter has rows"
            raise MergeError(what, where=self._config.where)
        return tuple(listed)

    def _target(self, module: str) -> TensorInfo:
        """Return the weight of a module as it will be."""
        weight = self._names.weight(module)
        known = self.changes.get(weight.name)
        return known.target if known else weight

    def _update(
        self,
        base: TensorInfo,
        target: TensorInfo | None = None,
        **parts: TensorInfo | Product | Shift | TrainedRows | tuple[Part, ...],
    ) -> None:
        known = self.changes.get(base.name) or Change(target or base, base)
        if any(getattr(known, part) not in (None, ()) for part in parts):
            raise MergeError(f"'{base.name}' is changed twice by the adapter", where=self._where)
        self.changes[base.name] = replace(known, **parts)  # type: ignore[arg-type]

    def _check_shape(self, module: str, shift: TensorInfo, bias: TensorInfo) -> None:
        if shift.shape != bias.shape:
            what = f"the bias of '{module}' is {list(bias.shape)}, and its factor's {list(shift.shape)}"
            raise self._unfit(what, "is it an adapter of another base?")

    def _check_floating(self, tensors: Iterable[TensorInfo]) -> None:
        for tensor in tensors:
            if DTYPES[tensor.dtype].kind != "float":
                what = f"'{tensor.name}' is {tensor.dtype}, on which an adapter cannot be baked"
                raise MergeError(what, where=self._where, hint="take weights that are not quantised")

    def _unfit(self, what: str, hint: str) -> MergeError:
        return MergeError(what, where=self._where, hint=hint or self._names.trained_on)
