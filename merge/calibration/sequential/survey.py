"""One look at a network at work: which stacks run in which order, and what runs after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import MergeError
from ..watch import Watch
from .stacks import HINT, Stack, find_stacks

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject


class _Step(NamedTuple):
    """Something that happened: a ``block`` or the ``end`` of one (``where`` is stack and number), or a ``use``.

    A use is one of parameters outside the blocks: of a module (``where`` is the module) or as a matrix (None).
    """

    kind: str
    where: Any
    parameters: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Anatomy:
    """The parts of a network. Parameters and buffers are known by the names of the checkpoint.

    Attributes:
        stacks: Those that ran, in order.
        final_norms: Of the norms that run directly after the last block of a stack.
        tail: Of all that is used after the last stack, and not before it.
        matrices: Those of the tail that multiply activations.
    """

    stacks: tuple[Stack, ...]
    final_norms: frozenset[str]
    tail: frozenset[str]
    matrices: frozenset[str]


def survey(
    subject: Subject, places: Mapping[str, Tensor], inputs: Mapping[str, Tensor], *, convolutions: bool = False
) -> Anatomy:
    """Run a network on a few items and see.

    Args:
        subject: The network.
        places: Its parameters and buffers by the names of the checkpoint.
        inputs: An item or more.
        convolutions: Whether convolutions are matrices.

    Raises:
        MergeError: It has no blocks, or they do not run one after the other, each once.
    """
    stacks = find_stacks(subject.module, subject.name, convolutions=convolutions)
    steps = _watched(subject, stacks, places, inputs, convolutions)
    ran = _in_order(stacks, [step.where for step in steps if step.kind == "block"], subject.name)
    last = max(number for number, step in enumerate(steps) if step.kind == "end")
    before = frozenset[int]().union(*(step.parameters for step in steps[:last]))
    after = [step for step in steps[last:] if step.kind == "use"]
    matrices = frozenset[int]().union(*(step.parameters for step in after if step.where is None)) - before
    tail = frozenset[int]().union(*(step.parameters for step in after)) - before
    norms = frozenset[int]().union(*_final_norms(stacks, steps))
    named = [_named(places, parameters) for parameters in (norms, tail, matrices)]
    return Anatomy(tuple(stacks[number] for number in ran), *named)


def _named(places: Mapping[str, Tensor], parameters: frozenset[int]) -> frozenset[str]:
    return frozenset(name for name, place in places.items() if id(place) in parameters)


def _watched(
    subject: Subject,
    stacks: Sequence[Stack],
    places: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    convolutions: bool,
) -> list[_Step]:
    """Run the network, and note all blocks, and all uses of parameters outside them."""
    import torch

    steps: list[_Step] = []
    inside = {id(part) for stack in stacks for block in stack.blocks for part in block.modules()}
    # Of a module around blocks, parameters of its own may be used before or after them, which only products tell.
    outside = [part for part in subject.module.modules() if inside.isdisjoint(map(id, part.modules()))]

    def use(name: str, inputs: Tensor, layout: str) -> None:
        steps.append(_Step("use", None, frozenset({id(places[name])})))

    with ExitStack() as hooks:
        for handle in (*_block_hooks(stacks, steps, subject.name), *_use_hooks(outside, steps)):
            hooks.callback(handle.remove)
        matrices = {name: place for name, place in places.items() if place.ndim > 1}
        with torch.no_grad(), Watch(matrices, use, convolutions=convolutions):
            subject.run(inputs)
    return list(_with_parameters(steps))


def _use_hooks(modules: Sequence[Any], steps: list[_Step]) -> Iterator[Any]:
    for module in modules:
        yield module.register_forward_pre_hook(lambda module, _args: steps.append(_Step("use", module)))


def _with_parameters(steps: Sequence[_Step]) -> Iterator[_Step]:
    """Yield steps with the parameters that modules used, without modules that have none of their own."""
    ran = {id(step.where) for step in steps if step.kind == "use" and step.where is not None}
    for step in steps:
        if step.kind == "use" and step.where is not None:
            step = step._replace(parameters=frozenset(map(id, _used_by(step.where, ran))))
        if step.kind != "use" or step.parameters:
            yield step


def _used_by(module: Any, ran: Set[int]) -> Iterator[Tensor]:
    """Yield a module's own parameters, and those of modules in it that it did not call: it reads them by itself.

    So `nn.MultiheadAttention` does with the weight and the bias of its ``out_proj``.
    """
    yield from (*module.parameters(recurse=False), *module.buffers(recurse=False))
    for child in module.children():
        if id(child) not in ran:
            yield from _used_by(child, ran)


def _block_hooks(stacks: Sequence[Stack], steps: list[_Step], where: str) -> Iterator[Any]:
    forms: dict[int, Any] = {}

    def end(place: tuple[int, int], output: Any) -> None:
        steps.append(_Step("end", place))
        stack, form = stacks[place[0]], form_of(output)
        if forms.setdefault(place[0], form) != form:
            what = f"{stack.label(place[1])} puts out something of another form than {stack.label(0)}"
            raise MergeError(what, where=where, hint=HINT)

    for number, stack in enumerate(stacks):
        for block, module in enumerate(stack.blocks):
            place = (number, block)
            yield module.register_forward_pre_hook(lambda *_, place=place: steps.append(_Step("block", place)))
            yield module.register_forward_hook(lambda _module, _args, output, place=place: end(place, output))


def form_of(value: Any) -> Any:
    """Return the structure of a block's output: how tensors are nested in it, and whatever is no tensor."""
    import torch
    from torch.utils._pytree import tree_flatten

    leaves, nesting = tree_flatten(value)
    return nesting, [torch.Tensor if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]


def _in_order(stacks: Sequence[Stack], called: Sequence[tuple[int, int]], where: str) -> list[int]:
    """Return the stacks that ran. Raises MergeError unless each ran as a whole, block after block, once."""
    runs = [(number, [block for _, block in group]) for number, group in groupby(called, key=lambda pair: pair[0])]
    for number, blocks in runs:
        if blocks != list(range(len(stacks[number].blocks))):
            what = f"the blocks of '{stacks[number].name}' do not run one after the other, each once"
            raise MergeError(what, where=where, hint=HINT)
    ran = [number for number, _ in runs]
    again = next((number for number in ran if ran.count(number) > 1), None)
    if again is not None:
        raise MergeError(f"the blocks of '{stacks[again].name}' run more than once", where=where, hint=HINT)
    if not ran:
        raise MergeError("none of its blocks runs on these data", where=where, hint=HINT)
    return ran


def _final_norms(stacks: Sequence[Stack], steps: Sequence[_Step]) -> Iterator[frozenset[int]]:
    """Yield the parameters of norms that run after a last block, before anything else that has parameters."""
    for number, step in enumerate(steps):
        if step.kind == "end" and step.where[1] == len(stacks[step.where[0]].blocks) - 1:
            for later in steps[number + 1 :]:
                if later.where is None or "norm" not in type(later.where).__name__.lower():
                    break
                yield later.parameters
