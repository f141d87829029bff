"""ResNets under the names of torchvision and timm: basic blocks, bottlenecks, grouped convolutions, deep stems.

What a stage adds up has one order from its downsampling to the next; a stage without one has the order before it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from .draft import Checkpoint, Draft, cut

_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.conv1\.weight")
_NORM = (".weight", ".bias")
_STATISTICS = (".running_mean", ".running_var")


class _Stream:
    """Members of one order, with the tensors that follow it."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.members: list[str] = []
        self.follows: list[str] = []

    def made_by(self, convolution: str, norm: str) -> None:
        """Add the channels that a convolution and the norm after it make."""
        self.members += [f"{convolution}.weight:0", f"{convolution}.bias:0?"]
        self.members += [f"{norm}{end}:0?" for end in _NORM]
        self.follows += [f"{norm}{end}:0?" for end in _STATISTICS]

    def add_to(self, draft: Draft) -> None:
        """Add it as a group."""
        draft.group(self.name, self.members, follows=self.follows, kind=self.kind)


def resnet(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of a ResNet, or None where the names are others."""
    prefix = checkpoint.prefix_of("layer1.0.conv1.weight")
    if prefix is None:
        return None
    draft = Draft("a ResNet of torchvision or timm")
    names = checkpoint.shapes
    if f"{prefix}layer1.0.bn1.weight" in names and f"{prefix}layer1.0.bn1.running_mean" not in names:
        raise draft.unfit("its norms have no running statistics, so they may be over groups of channels")
    stream = _stem(draft, checkpoint, prefix)
    for stage, block in _blocks(checkpoint, prefix):
        start = f"{prefix}layer{stage}.{block}."
        before, stream = stream, _downsampled(draft, checkpoint, start, stream, f"residual.{stage}")
        _add_block(draft, checkpoint, start, before, stream, f"{stage}.{block}")
    if f"{prefix}fc.weight" in names:
        stream.members.append(f"{prefix}fc.weight:1")
        stream.add_to(draft)
        draft.stays("the model's outputs", [f"{prefix}fc.*:0"])
    else:
        draft.stays("the model's outputs", stream.members + stream.follows)
        draft.notes.append(f"{stream.name} stays as it is: it is what the model gives out")
    draft.stays("a count", ["*.num_batches_tracked"])
    return draft


def _blocks(checkpoint: Checkpoint, prefix: str) -> list[tuple[int, int]]:
    """Return stage and number of every block, in the order in which they are run."""
    matches = (_BLOCK.fullmatch(name.removeprefix(prefix)) for name in checkpoint.shapes)
    return sorted((int(match[1]), int(match[2])) for match in matches if match)


def _stem(draft: Draft, checkpoint: Checkpoint, prefix: str) -> _Stream:
    """Add the orders within a deep stem; return that of what the stem makes."""
    stream = _Stream("residual.0", "residual")
    numbers = _convolutions(checkpoint, f"{prefix}conv1.")
    if not numbers:
        stream.made_by(f"{prefix}conv1", f"{prefix}bn1")
        return stream
    for number, following in pairwise(numbers):
        inner = _Stream(f"stem.{number}", "other")
        inner.made_by(f"{prefix}conv1.{number}", f"{prefix}conv1.{number + 1}")
        inner.members.append(f"{prefix}conv1.{following}.weight:1")
        inner.add_to(draft)
    stream.made_by(f"{prefix}conv1.{numbers[-1]}", f"{prefix}bn1")
    return stream


def _convolutions(checkpoint: Checkpoint, start: str) -> list[int]:
    """Return the numbers of the convolutions in a sequence."""
    found = (name.removeprefix(start).removesuffix(".weight") for name in checkpoint.shapes if name.startswith(start))
    return sorted(
        int(text) for text in found if text.isdecimal() and len(checkpoint.shapes[f"{start}{text}.weight"]) == 4
    )


def _downsampled(draft: Draft, checkpoint: Checkpoint, start: str, stream: _Stream, name: str) -> _Stream:
    """Return the order of what a block gives out: a new one where it has a convolution beside it, else the old one."""
    numbers = _convolutions(checkpoint, f"{start}downsample.")
    if not numbers:
        return stream
    stream.members.append(f"{start}downsample.{numbers[0]}.weight:1")
    stage = _Stream(name, "residual")
    stage.made_by(f"{start}downsample.{numbers[0]}", f"{start}downsample.{numbers[0] + 1}")
    return stage


def _add_block(draft: Draft, checkpoint: Checkpoint, start: str, before: _Stream, after: _Stream, label: str) -> None:
    """Add the orders within a block, and its ends to those before and after it."""
    last = 3 if checkpoint.has(f"{start}conv3.weight") else 2
    before.members.append(f"{start}conv1.weight:1")
    if before is not after:
        before.add_to(draft)
    inner = [_inner(start, number, label) for number in range(1, last)]
    grouped = _grouped(checkpoint, start) if last == 3 else 1
    if grouped > 1:
        _add_grouped(draft, checkpoint, start, inner, grouped, label)
    else:
        for number, stream in enumerate(inner, 2):
            stream.members.append(f"{start}conv{number}.weight:1")
            stream.add_to(draft)
    after.made_by(f"{start}conv{last}", f"{start}bn{last}")


def _inner(start: str, number: int, label: str) -> _Stream:
    stream = _Stream(f"inner.{label}.{number}", "other")
    stream.made_by(f"{start}conv{number}", f"{start}bn{number}")
    return stream


def _grouped(checkpoint: Checkpoint, start: str) -> int:
    """Return into how many groups the second convolution's channels are parted."""
    made = checkpoint.shapes[f"{start}conv1.weight"][0]
    _, used, *_ = checkpoint.shapes.get(f"{start}conv2.weight", (0, 0))
    return made // used if used and made % used == 0 else 1


def _add_grouped(
    draft: Draft, checkpoint: Checkpoint, start: str, inner: list[_Stream], grouped: int, label: str
) -> None:
    """Add the orders around a convolution in groups.

    The groups may change places. The channels that enter must have one order in all groups, since they share an axis of
    the weight; those that leave may have another in each.
    """
    entering, leaving = inner
    leaving.members.append(f"{start}conv3.weight:1")
    made, used, *_ = checkpoint.shapes[f"{start}conv2.weight"]
    before, after = (grouped, used), (grouped, made // grouped)
    draft.group(
        f"groups.{label}",
        [*cut(entering.members, before, 0), *cut(leaving.members, after, 0)],
        follows=[*cut(entering.follows, before, 0), *cut(leaving.follows, after, 0)],
        kind="other",
    )
    members = [*cut(entering.members, before, 1), f"{start}conv2.weight:1"]
    draft.group(entering.name, members, follows=cut(entering.follows, before, 1), kind="other")
    members, follows = cut(leaving.members, after, 1), cut(leaving.follows, after, 1)
    draft.group(leaving.name, members, follows=follows, kind="other", parent=f"groups.{label}")
