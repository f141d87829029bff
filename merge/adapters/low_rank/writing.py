"""Writes an adapter in one go: a folder of PEFT, or a single file. Nothing half-written is left under its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xxhash

from ... import card
from ...checkpoints.checkpoint import OUR_KEY
from ...checkpoints.companions import CARD
from ...checkpoints.destination import Building, Intended
from ...checkpoints.header import TensorInfo
from ...content_id import BLOCK_BYTES, PLACEHOLDER, checkpoint_id, digest, tensor_digest
from ...dtypes import DTYPES
from ...planning.layout import OutputFile, Slot, is_single_file, nbytes_of
from ...planning.rows import Row
from ...provenance import TOOL

if TYPE_CHECKING:
    from ...checkpoints.address import OutputPath
    from ...checkpoints.checkpoint import Source
    from ...checkpoints.destination import OutputSink
    from ...checkpoints.files import Buffer

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class AdapterTensor:
    """One tensor of an adapter.

    Attributes:
        read: Fills a buffer with the tensor's bytes from this byte offset on.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[int, Buffer], None]


@dataclass(frozen=True)
class Adapter:
    """What is written.

    Attributes:
        tensors: In any order; they are stored by width of their type, then by name.
        metadata: Metadata of the file, made from the content id of what was written; of one length for all ids.
        card: The card's text, made from the same id.
        beside: Files of a folder by their names, `adapter_config.json` among them; a single file has none.
    """

    tensors: Sequence[AdapterTensor]
    metadata: Callable[[str], dict[str, str]]
    card: Callable[[str], str]
    beside: Mapping[str, bytes] = field(default_factory=dict)


def own_metadata(recipe: Mapping[str, object], input_ids: Sequence[str], identity: str) -> dict[str, str]:
    """Return what an adapter's file says of where it comes from, of one length for every content id.

    Args:
        recipe: What stands for a recipe, with content ids for locations.
        input_ids: Of what it was made of.
        identity: The adapter's own.
    """
    text = json.dumps(recipe, sort_keys=True, ensure_ascii=False)
    return {
        "format": "pt",
        "merge.tool": TOOL,
        "merge.recipe": text,
        "merge.recipe_hash": xxhash.xxh3_128_hexdigest(text.encode()),
        "merge.inputs": json.dumps(list(input_ids)),
        OUR_KEY: identity,
    }


def intended(sources: Sequence[Source], out: OutputPath, nbytes: int, *, force: bool, rehearsal: bool) -> Intended:
    """Return what a place is told of an adapter before it is checked."""
    is_folder = not is_single_file(out)
    beside = None if is_folder else card.card_path(out)
    return Intended(sources, None, nbytes, is_folder, beside, card.MARK, force=force, rehearsal=rehearsal)


def write_adapter(building: Building, out: OutputPath, adapter: Adapter, *, force: bool, sync: bool) -> str:
    """Write an adapter into an opened building and put it in place.

    Args:
        building: The output on its way; opened, and closed by whoever opened it.
        out: Its place.
        adapter: What is written.
        force: Replace a former output of ours.
        sync: Wait for the disk before the rename.

    Returns:
        The content id of what was written.

    Raises:
        MergeError: It cannot be written.
    """
    single = is_single_file(out)
    ordered = sorted(adapter.tensors, key=lambda tensor: (-DTYPES[tensor.dtype].bits, tensor.name))
    files = [OutputFile(out.name if single else WEIGHTS, _slots(ordered))]
    sink = building.sink(files, adapter.metadata(PLACEHOLDER), keep=False)
    try:
        identity = _fill(sink, files[0], ordered)
        sink.finish(adapter.metadata(identity), sync=sync)
    finally:
        sink.close()
    name = card.card_path(out).name if single else CARD
    building.path(name).write_text(adapter.card(identity), "utf-8")
    if not single:
        for beside, content in adapter.beside.items():
            building.path(beside).write_bytes(content)
    building.commit(replace=force, sync=sync, beside=building.path(name) if single else None)
    return identity


def _slots(tensors: Sequence[AdapterTensor]) -> list[Slot]:
    slots, position = [], 0
    for tensor in tensors:
        stop = position + nbytes_of(tensor.dtype, tensor.shape)
        slots.append(Slot(tensor.name, tensor.dtype, tensor.shape, position, stop))
        position = stop
    return slots


def _fill(sink: OutputSink, file: OutputFile, tensors: Sequence[AdapterTensor]) -> str:
    """Write every tensor at its place; return the content id of all."""
    whole = memoryview(bytearray(BLOCK_BYTES))
    infos, digests = [], {}
    for slot, tensor in zip(file.slots, tensors, strict=True):
        row = Row(slot.name, slot.dtype, slot.shape, "copy", None, (), file=0, begin=slot.begin)
        size, blocks = slot.end - slot.begin, []
        for offset in range(0, size, BLOCK_BYTES):
            part = whole[: min(BLOCK_BYTES, size - offset)]
            tensor.read(offset, part)
            blocks.append(digest(part))
            sink.write(row, offset, part)
        infos.append(TensorInfo(slot.name, slot.dtype, slot.shape, 0, slot.begin, size))
        digests[slot.name] = tensor_digest(blocks)
    return checkpoint_id(infos, digests)
