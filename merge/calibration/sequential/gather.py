"""RegMean++: the Gram matrices of block l of each model, on what the merged blocks 1 … l-1 make of its data.

Nguyen et al. 2025, arXiv:2508.03121. One network M is in memory. Its stem, all that comes before the blocks, gets the
models' average. Then, block by block: M's block takes the weights of model i and runs on the activations of model i's
data, which gives model i's Gram matrices; the block takes the merged weights, and the activations move on through it.
Per item that is one pass through the stem and two through each block.

What comes after the last block goes the same way, as one more block, with two exceptions for ``final_norm``
``pretrained``: the norm directly after the last block, and the projection of CLIP and SigLIP into the space that images
and texts share, are the base's. The authors' models end there, and neither is merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError
from .candidates import Candidates, opened
from .run import Merging, Run

if TYPE_CHECKING:
    from pathlib import Path

    from ...checkpoints.checkpoint import Source
    from ...evaluation.task import Settings
    from ..data import CalibrationData
    from ..declared import SequentialCalibration
    from ..facts import Facts


@dataclass(frozen=True)
class Found:
    """What RegMean++ leaves for an ordinary merge by RegMean, besides a statistics file of every model.

    Attributes:
        from_base: Tensors that are the base's, by its names.
        notes: Which blocks were found, and what is the base's, in words.
        facts: What each file says of itself.
    """

    from_base: tuple[str, ...]
    notes: tuple[str, ...]
    facts: tuple[Facts, ...]


def gather(
    models: Sequence[str | Source],
    base: str | Source | None,
    data: Sequence[CalibrationData],
    options: SequentialCalibration,
    off_diagonal: float,
    weights: Sequence[float],
    settings: Settings,
    outs: Sequence[Path],
    *,
    region: str = "all",
    force: bool = False,
    dtype: str = "float32",
) -> Found:
    """Write the Gram matrices of every model.

    Args:
        models: Checkpoints, by name or open. Of each, one block at a time is in memory.
        base: The checkpoint that they were trained from.
        data: What each model is run on.
        options: How to go through the blocks.
        off_diagonal: Factor of the Gram matrices off their diagonals, between 0 and 1.
        weights: How much each model counts, from 0 on.
        settings: Device, seed, items at a time. Told of each item that ran through a block with a model's weights.
        outs: The files to write, one for each model.
        region: Which third of each stack of blocks is regressed: ``early``, ``middle``, ``late``; or ``all``, with what
            follows the last block. All else is averaged and has no Gram matrices.
        force: Whether other files that stand there may be replaced. If all of them hold these very matrices already,
            they are used again.
        dtype: Type in which matrices are stored.

    Raises:
        UsageError: The request does not fit together.
        MergeError: The models do not, or the network has no blocks that run one after the other, or gives numbers that
            are not finite.
    """
    from ..storing import Store

    _check(len(models), len(data), base is not None or options.final_norm != "pretrained")
    with ExitStack() as stack:
        sources = stack.enter_context(opened(models))
        reference = stack.enter_context(opened([base]))[0] if base is not None else sources[0]
        inputs = [path for source in (*sources, reference) for path in getattr(source, "files", ())]
        stores = [stack.enter_context(Store(out, force=force, reuse=True, dtype=dtype, inputs=inputs)) for out in outs]
        merging = Merging(Candidates(sources, reference, weights), off_diagonal, region)
        outcome = Run(reference, options, merging, settings, stores).go(data)
    notes = [note for store in stores for note in store.notes]
    return Found(tuple(sorted(outcome.from_base)), (*outcome.notes, *notes), outcome.facts)


def _check(models: int, data: int, norm_is_known: bool) -> None:
    if models < 2:
        raise UsageError(f"regmean-pp merges two models or more, not {models}")
    if data != models:
        hint = "give --data once for all models, or once for each, in their order"
        raise UsageError(f"{models} models, but data for {data}", hint=hint)
    if not norm_is_known:
        hint = "give --base, or --final-norm mean"
        raise UsageError("the final norm is to be the base's, and there is no base", hint=hint)
