"""What is settled before anything is read: whether the outcome can be put where it is to go, and the device."""

from __future__ import annotations

from math import prod

from ...checkpoints.address import OutputPath, settled
from ...checkpoints.destination import destination
from ...errors import UsageError
from ...planning.layout import is_single_file
from ..low_rank.device import factorising_device
from ..low_rank.writing import intended
from .planned import planned
from .request import Request
from .uniting import United


def check_output(
    united: United, request: Request, out: OutputPath, *, force: bool, rehearsal: bool = False
) -> OutputPath:
    """Check what can be known of the output before anything is read; return its place.

    Raises:
        UsageError: It is in the way, an input, or a single file.
        MergeError: The disk is too small, or the place cannot be written.
    """
    if is_single_file(out) and not united.is_single_file:
        what = "an adapter of PEFT is a folder, and this names a file"
        raise UsageError(what, where=str(out), hint="leave .safetensors out")
    if united.is_single_file and not is_single_file(out):
        what = "adapters in one file are merged into one file, and this names a folder"
        raise UsageError(what, where=str(out), hint=f"-o {out}.safetensors")
    place = settled(out, None)
    nbytes = sum(row.nbytes for row in planned(united, request))
    sources = [member.weights for member in united.members]
    destination(place, is_folder=not is_single_file(place)).check(
        intended(sources, place, nbytes, force=force, rehearsal=rehearsal)
    )
    return place


def device_of(united: United, request: Request, device: str) -> str:
    """Return where matrices are factorised; sums of products are cut without any."""
    if request.is_sum:
        return "cpu"
    shapes = map(united.shape_of, united.addends)
    return factorising_device(device, (min(shape[0], prod(shape[1:])) for shape in shapes))
