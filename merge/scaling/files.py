"""Coefficients as statistics files, one for each task vector: for every tensor, by its name, [parts] in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calibration.facts import Facts
from ..calibration.storing import Store
from .job import Job
from .learning import Result, run

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Source

KIND = "coefficients"


def write_coefficients(
    job: Job,
    outs: Sequence[Path],
    note: Callable[[str], None],
    *,
    force: bool = False,
    allow_base: bool = False,
) -> list[Facts]:
    """Learn coefficients and write them, unless the files hold these very ones already.

    Args:
        job: What to learn.
        outs: The files, one for each task vector in order.
        note: Told what happens.
        force: Whether other files that stand there may be replaced.
        allow_base: Whether 0 for all, which is the base, is an outcome.

    Returns:
        What each file says of itself.

    Raises:
        UsageError: Other files stand there.
        MergeError: Nothing better than the base was found, or a file cannot be written.
    """
    inputs = [path for source in job.members.sources for path in getattr(source, "files", ())]
    how: dict[str, Any] = {"force": force, "reuse": True, "dtype": "float64", "inputs": inputs}
    with ExitStack() as stack:
        stores = [stack.enter_context(Store(out, **how)) for out in outs]
        identities = [identity_of(source) for source in job.members.sources]
        common = {**job.fingerprint, "models": identities, "allow_base": allow_base}
        fingerprints = [{**common, "model": number} for number in range(1, len(outs) + 1)]
        held = [store.holds(fingerprint) for store, fingerprint in zip(stores, fingerprints, strict=True)]
        if all(held):  # every store was asked, so that a file in the way of any is refused before the work
            note(f"the coefficients are there already: {', '.join(map(str, outs))}")
            return [_read(out) for out in outs]
        for store, fingerprint in zip(stores, fingerprints, strict=True):
            store.begin(fingerprint, anew=True)
        result = run(job, note, allow_base=allow_base)
        facts = [_finish(store, job, result, number, identities[number + 1]) for number, store in enumerate(stores)]
        for line in (line for store in stores for line in store.notes):
            note(line)
        return facts


def _finish(store: Store, job: Job, result: Result, number: int, identity: str) -> Facts:
    import torch

    own = result.by_model[number]
    about = {**result.about, "coefficients": own}
    facts = Facts(KIND, identity, aliases=result.aliases[number], data_use=job.data_use, about=about)
    store.finish({name: torch.tensor(values, dtype=torch.float64) for name, values in own.items()}, facts)
    return facts


def _read(path: Path) -> Facts:
    from ..checkpoints.header_file import read_header

    return Facts.from_metadata(read_header(path).metadata, str(path))


def identity_of(source: Source) -> str:
    """Return the content id of a checkpoint, which reads all of it once."""
    from ..content_id import checkpoint_id, tensor_digests

    tensors = source.tensors.values()
    return checkpoint_id(tensors, tensor_digests(tensors, source.read_into))
