"""An adapter that lies there against the same one made again, as `merge verify` compares them."""

from __future__ import annotations

from collections.abc import Sequence

from ...checkpoints.checkpoint import OUR_KEY, FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...content_id import checkpoint_id, tensor_digests
from ...documents import VerifyDocument
from ...planning.layout import nbytes_of
from ...recorded_inputs import recorded_inputs
from .writing import AdapterTensor


def compare(
    out: FileCheckpoint, remade: Sequence[AdapterTensor], locations: Sequence[str], input_ids: Sequence[str]
) -> VerifyDocument:
    """Compare tensor by tensor.

    Args:
        out: The adapter that lies there.
        remade: The tensors made again.
        locations: Of the inputs, in the order in which the adapter records their ids.
        input_ids: Their content ids now.
    """
    from ...verify import PROVES

    infos = [TensorInfo(one.name, one.dtype, one.shape, 0, 0, nbytes_of(one.dtype, one.shape)) for one in remade]
    read = {one.name: one.read for one in remade}
    repeated = tensor_digests(infos, lambda tensor, offset, buffer: read[tensor.name](offset, buffer))
    found = tensor_digests(out.tensors.values(), out.read_into)
    differing = sorted(name for name in found.keys() | repeated.keys() if found.get(name) != repeated.get(name))
    found_id, repeated_id = checkpoint_id(out.tensors.values(), found), checkpoint_id(infos, repeated)
    recorded, known = out.metadata.get(OUR_KEY), recorded_inputs(out.metadata, out.location)
    return {
        "out": out.location,
        "repeats": not differing and found_id == recorded == repeated_id,
        "output_id_recorded": recorded,
        "output_id_found": found_id,
        "output_id_repeated": repeated_id,
        "changed_inputs": [one for one, was, now in zip(locations, known, input_ids, strict=False) if was != now],
        "differing_tensors": differing,
        "tensors": len(found),
        "proves": PROVES,
    }
