"""What looks on while a network runs over data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..calibration.intercepting import Handler
from ..calibration.masks import Masks

if TYPE_CHECKING:
    from torch import Tensor

Handlers = dict[Callable[..., Any], Handler]
State = tuple[dict[str, "Tensor"], dict[str, Any]]


class Observer(Protocol):
    """Stands in for functions of torch, and adds up what it sees."""

    def handlers(self) -> Handlers:
        """Return what stands in for which function; see `merge.calibration.intercepting`."""

    def begin_batch(self, masks: Masks) -> None:
        """Be told that a batch begins, and which of its tokens count."""

    def state(self) -> State:
        """Return everything that was seen: tensors, and what goes into JSON."""

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], device: str) -> None:
        """Undo `state`."""


class Together:
    """Several observers as one; each is interested in other functions."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def handlers(self) -> Handlers:
        """Return those of all."""
        return {function: handler for one in self._observers for function, handler in one.handlers().items()}

    def begin_batch(self, masks: Masks) -> None:
        """Tell all."""
        for one in self._observers:
            one.begin_batch(masks)

    def state(self) -> State:
        """Return what all have seen, numbered."""
        states = [one.state() for one in self._observers]
        tensors = {
            f"{number}/{name}": value for number, (found, _) in enumerate(states) for name, value in found.items()
        }
        return tensors, {str(number): notes for number, (_, notes) in enumerate(states)}

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], device: str) -> None:
        """Undo `state`."""
        for number, one in enumerate(self._observers):
            start = f"{number}/"
            own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
            one.restore(own, notes[str(number)], device)
