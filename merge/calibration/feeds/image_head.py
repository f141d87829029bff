"""The head that data brings for towers without classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...evaluation.kinds.zero_shot import ZeroShot

if TYPE_CHECKING:
    from ...evaluation.candidate import Candidate
    from ...evaluation.heads import FixedHead
    from ...evaluation.kinds.classification import Classification
    from ...evaluation.task import Settings

    Classes = Callable[[], tuple[str, ...] | None]


def head_key(benchmark: Classification | ZeroShot) -> object:
    """Return what is equal for data that bring the same head, wherever that was written down."""
    from ...evaluation.heads import Head

    head = benchmark if isinstance(benchmark, ZeroShot) else benchmark.head
    if head is None:
        return None
    if isinstance(head, Head):
        return head.path.resolve(), head.name, getattr(benchmark, "logit_scale", None)
    maker = head.head_model if isinstance(head, ZeroShot) else head.model
    names = head.prompts.classes
    own = None if isinstance(names, tuple) else benchmark.data.text  # the data's own names of its classes
    return maker and (maker.label, maker.checkpoint), repr(names), head.prompts.templates, own


def head_maker(
    benchmark: Classification | ZeroShot, candidate: Candidate, settings: Settings, classes: Classes
) -> Callable[[], FixedHead] | None:
    """Return what gives the head, or None where the data names none.

    Args:
        benchmark: Names the head, or the prompts from which it is made.
        candidate: The model, whose own text tower makes the head of a zero-shot benchmark that names no other.
        settings: Device, and the architecture by ``--model``.
        classes: Gives the names that the data has for its classes.
    """
    if isinstance(benchmark, ZeroShot):
        zero_shot = benchmark
        return lambda: _prompt_head(zero_shot, candidate, settings, classes())
    if benchmark.head is None:
        return None
    head, scale = benchmark.head, benchmark.logit_scale

    def read() -> FixedHead:
        from ...evaluation.heads import read_head

        return read_head(head, scale, settings.device, classes())

    return read


def _prompt_head(
    benchmark: ZeroShot, candidate: Candidate, settings: Settings, classes: tuple[str, ...] | None
) -> FixedHead:
    """Return the head of class names and templates, all templates alike. Raises MergeError without a text tower."""
    from ...evaluation.networks import choose_model
    from ...evaluation.zero_shot.prompt_head import make_prompt_head

    maker, model = candidate, None
    if benchmark.head_model is not None:
        maker, model = benchmark.head_model.load()
    model = model or choose_model(candidate, settings.model, benchmark.model)
    names = benchmark.prompts.names(classes)
    label = f"{model.label}, {benchmark.prompts.label}"
    return make_prompt_head(maker, model, benchmark.prompts, names, label, settings.device).head(settings.device)
