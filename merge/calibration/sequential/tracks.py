"""One batch on its way through the blocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..masks import Masks
from .calls import Call

if TYPE_CHECKING:
    from torch import Tensor

    from .stacks import Stack

DECODER = "decoder"  # how names of a decoder's inputs begin
ENCODER_STATES = "encoder_hidden_states"  # what blocks of a decoder call what they look at


@dataclass
class Form:
    """The form of a block's output: what is no tensor in it, None in place of tensors, and how all of it nests."""

    leaves: list[Any] = field(default_factory=list)
    nesting: Any = None

    def fill(self, tensors: Mapping[int, Tensor]) -> list[Any]:
        """Return all leaves, with tensors by their place."""
        return [tensors.get(place, leaf) for place, leaf in enumerate(self.leaves)]


@dataclass
class Track:
    """What is known of one batch.

    Attributes:
        batch: Its number.
        items: How many items it has.
        counted: Its masks by the name of the input.
        calls: How each block of the stack at hand is called.
        form: Of the last output.
        finished: The stacks that are behind it, with the form of their outputs.
    """

    batch: int
    items: int
    counted: Mapping[str, Tensor]
    calls: list[Call] = field(default_factory=list)
    form: Form = field(default_factory=Form)
    finished: list[tuple[Stack, Form]] = field(default_factory=list)


@dataclass(frozen=True)
class Running:
    """A batch that is about to run.

    Attributes:
        items: How many items it has.
        masks: Which rows of its inputs count.
        run: Runs it and returns the outputs.
    """

    items: int
    masks: Masks
    run: Callable[[], Any]


def run_block(track: Track, block: Any, arguments: Any) -> Running:
    """Return a batch that is ready to run through a block."""
    args, kwargs = arguments
    states = _encoder_states(block, args, kwargs)
    masks = Masks(track.counted)
    if len(track.counted) > 1:
        masks.stream = stream_of(track.counted, decoder=states is not None)
        encoder = stream_of(track.counted, decoder=False)
        if states is not None and encoder is not None:
            masks.mark(states, encoder)
    return Running(track.items, masks, lambda: block(*args, **kwargs))


def stream_of(counted: Mapping[str, Tensor], *, decoder: bool) -> str | None:
    """Return the name of the decoder's input, or of the encoder's."""
    return next((name for name in counted if name.startswith(DECODER) is decoder), None)


def _encoder_states(block: Any, args: Any, kwargs: Any) -> Any:
    """Return the states of an encoder among a block's arguments, if there are any."""
    try:
        return inspect.signature(block.forward).bind(*args, **kwargs).arguments.get(ENCODER_STATES)
    except (TypeError, ValueError):  # a signature that says nothing
        return None
