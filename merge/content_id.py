"""Content ids: XXH3-128 over fixed blocks, combined per tensor, then per checkpoint.

A checkpoint's id depends on the names, types, shapes and bytes of its tensors and on nothing else: not on the
order in the file, not on shards, not on metadata. It finds accidents and mix-ups; it is no protection against
somebody who wants two checkpoints with one id (that is what ``--sha256`` is for).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

import xxhash

from .checkpoints.files import Buffer
from .checkpoints.header import TensorInfo

BLOCK_BYTES = 4 * 2**20
DIGEST_BYTES = 16
PLACEHOLDER = "0" * 2 * DIGEST_BYTES
_EMPTY = xxhash.xxh3_128_digest(b"")

digest = xxhash.xxh3_128_digest


class BlockHasher:
    """Hashes consecutive bytes of one tensor, starting at a block border, into one digest per block."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()
        self._filled = 0
        self._digests: list[bytes] = []

    def update(self, data: Buffer) -> None:
        """Take the next bytes."""
        while len(data):
            part = data[: BLOCK_BYTES - self._filled]
            self._hash.update(part)
            self._filled += len(part)
            data = data[len(part) :]
            if self._filled == BLOCK_BYTES:
                self._end_block()

    def _end_block(self) -> None:
        self._digests.append(self._hash.digest())
        self._hash.reset()
        self._filled = 0

    def finish(self) -> list[bytes]:
        """Return the digests; the last block may be short."""
        if self._filled:
            self._end_block()
        return self._digests


def tensor_digest(blocks: list[bytes]) -> bytes:
    """Combine the digests of a tensor's blocks, in order; a tensor of one block has that block's digest."""
    return blocks[0] if len(blocks) == 1 else digest(b"".join(blocks)) if blocks else _EMPTY


def checkpoint_id(tensors: Iterable[TensorInfo], digests: Mapping[str, bytes]) -> str:
    """Return the id of a checkpoint as 32 hexadecimal digits."""
    ordered = sorted(tensors, key=itemgetter(0))
    listing = "".join([f"{name}\0{dtype}\0{shape}\0{digests[name].hex()}\n" for name, dtype, shape, *_ in ordered])
    return xxhash.xxh3_128_hexdigest(listing.encode())


def tensor_digests(tensors: Iterable[TensorInfo], read: Callable[[TensorInfo, int, Buffer], None]) -> dict[str, bytes]:
    """Return the digest of every tensor by reading all of them through ``read(tensor, offset, buffer)``."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    found = {}
    for tensor in tensors:
        blocks = []
        for offset in range(0, tensor.nbytes, BLOCK_BYTES):
            part = buffer[: min(BLOCK_BYTES, tensor.nbytes - offset)]
            read(tensor, offset, part)
            blocks.append(digest(part))
        found[tensor.name] = tensor_digest(blocks)
    return found
