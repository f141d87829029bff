"""Cutting a file into parts, whatever the order in which its bytes come."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from merge.checkpoints.remote.writing import parts
from merge.checkpoints.remote.writing.body import Body
from merge.checkpoints.remote.writing.parts import MEBIBYTE, MOST_PARTS, SMALLEST_PART, Parts, part_size
from merge.checkpoints.remote.writing.shelf import Shelf


@pytest.mark.parametrize("size", [0, 1, 5 * 10**9, 80 * 2**30, 84 * 10**9, 700 * 10**9, 5 * 2**40])
def test_parts_are_few_and_large_enough(size: int) -> None:
    each = part_size(size)
    assert each >= SMALLEST_PART
    assert each % MEBIBYTE == 0
    assert Parts(size, Shelf()).count <= MOST_PARTS
    assert each == SMALLEST_PART or -(-size // (each - MEBIBYTE)) > MOST_PARTS


@pytest.mark.parametrize("size", [1, 99, 100, 101, 1234])
def test_every_byte_is_in_its_part(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "part_size", lambda size: 100)
    data = random.Random(size).randbytes(size)
    cuts = sorted([*random.Random(1).sample(range(size), min(size, 9)), 0, size])
    pieces = [(first, last) for first, last in pairwise(cuts) if last > first]
    random.Random(2).shuffle(pieces)
    cut = Parts(size, Shelf())
    found = {}
    for first, last in pieces:
        for part in cut.fill(first, memoryview(data)[first:last]):
            assert part.number not in found
            found[part.number] = bytes(part.data)
    assert b"".join(found[number] for number in sorted(found)) == data
    assert len(found) == cut.count


def test_a_body_is_read_twice() -> None:
    data = bytearray(range(200))
    body = Body(data)
    assert body.read(50) == data[:50]
    assert body.read() == data[50:]
    assert body.seek(0, 2) == 200
    body.seek(0)
    assert body.read() == data
