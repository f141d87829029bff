"""Segments and the window over them: every byte fetched once, whatever the order and the number of readers."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merge.checkpoints.header import TensorInfo
from merge.checkpoints.remote.buffers import Buffers
from merge.checkpoints.remote.segments import Course, cut
from merge.checkpoints.remote.window import Window
from merge.errors import MergeError

MOST = 64
DATA = [random.Random(number).randbytes(4000) for number in range(2)]


def layout(sizes: list[int]) -> list[TensorInfo]:
    """Return tensors one after the other in two files."""
    found, ends = [], [10, 10]
    for number, size in enumerate(sizes):
        file = number % 3 == 2
        found.append(TensorInfo(f"t{number}", "U8", (size,), int(file), ends[file], size))
        ends[file] += size
    return found


class Fetched:
    """Serves segments and counts how often each byte is asked for."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, int]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, segment):
        with self._lock:
            self.counts.update((segment.file, at) for at in range(segment.start, segment.stop))
        return memoryview(DATA[segment.file][segment.start : segment.stop])


def window(tensors, expected, fetched, *, again=False, room=MOST * 4):
    return Window(Course(expected, tensors, MOST), fetched, most=MOST, room=room, again=again)


def read(opened, tensor, pieces):
    """Read a tensor in pieces of this many bytes."""
    found = bytearray(tensor.nbytes)
    for start in range(0, tensor.nbytes, pieces):
        opened.read_into(tensor.file, tensor.start + start, memoryview(found)[start : start + pieces])
    return bytes(found) == DATA[tensor.file][tensor.start : tensor.start + tensor.nbytes]


SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=15)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.randoms(use_true_random=False), st.integers(1, 80), st.booleans())
def test_every_byte_is_fetched_once_in_any_order(sizes, chance, pieces, known):
    tensors, fetched = layout(sizes), Fetched()
    order = chance.sample(tensors, len(tensors))
    opened = window(tensors, order if known else tensors, fetched)
    assert all(read(opened, tensor, pieces) for tensor in order)
    opened.close()
    assert len(fetched.counts) == sum(sizes)
    assert set(fetched.counts.values()) <= {1}


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(1, 80))
def test_what_is_read_again_is_not_fetched_again(sizes, pieces):
    tensors, fetched = layout(sizes), Fetched()
    opened = window(tensors, tensors, fetched, again=True)
    for _ in range(3):
        assert all(read(opened, tensor, pieces) for tensor in tensors)
    opened.close()
    assert set(fetched.counts.values()) <= {1}


def test_several_readers():
    tensors, fetched = layout([150, 7, 64, 0, 130, 3, 3, 3, 190, 20] * 3), Fetched()
    opened = window(tensors, tensors, fetched)
    with ThreadPoolExecutor(4) as readers:
        assert all(readers.map(lambda tensor: read(opened, tensor, 13), tensors))
    opened.close()
    assert set(fetched.counts.values()) == {1}


def test_random_reads_with_little_room_go_to_the_disk():
    tensors, fetched = layout([1500, 400]), Fetched()
    opened = window(tensors, tensors, fetched, room=MOST)
    places = list(range(0, 1500, 5))
    random.Random(0).shuffle(places)
    for place in places:
        found = bytearray(5)
        opened.read_into(0, 10 + place, memoryview(found))
        assert found == DATA[0][10 + place : 15 + place]
    opened.close()
    assert all(fetched.counts[0, at] == 1 for at in range(10, 1510))


def test_what_is_not_expected_is_not_fetched_ahead():
    tensors, fetched = layout([100] * 9), Fetched()
    opened = window(tensors, tensors[:2], fetched)
    assert read(opened, tensors[0], 50)
    assert read(opened, tensors[1], 50)
    opened.close()
    assert len(fetched.counts) == 200


def test_neighbours_are_fetched_together_and_large_tensors_in_parts():
    tensors = layout([10, 20, 5, 30, 200])
    found = cut(tensors, MOST)
    assert [(one.file, one.nbytes) for one in found] == [(0, 30), (1, 5), (0, 30), (0, 64), (0, 64), (0, 64), (0, 8)]


def test_an_error_reaches_the_reader():
    def fail(segment):
        raise MergeError("gone")

    tensors = layout([100])
    opened = window(tensors, tensors, fail)
    with pytest.raises(MergeError, match="gone"):
        read(opened, tensors[0], 10)
    opened.close()


def test_memory_is_used_again_and_only_when_nobody_reads_it():
    """What is given back is overwritten at once, so that a reader who still uses it would see."""
    tensors, buffers, blocks = layout([150, 7, 64, 0, 130, 190, 20, 64] * 8), Buffers(), []

    def fetch(segment):
        data = buffers.take(segment.nbytes)
        blocks.append(data.obj)
        data[:] = DATA[segment.file][segment.start : segment.stop]
        return data

    def give(data):
        data[:] = b"\xff" * len(data)
        buffers.give(data)

    course = Course(tensors, tensors, MOST)
    opened = Window(course, fetch, most=MOST, room=MOST * 4, again=False, give=give)
    with ThreadPoolExecutor(6) as readers:
        assert all(readers.map(lambda tensor: read(opened, tensor, 13), [*tensors, *tensors[::3]]))
    opened.close()
    assert len({id(block) for block in blocks}) < len(blocks) / 2
    buffers.drop()
    assert not buffers._free


def test_a_buffer_that_does_not_fit_is_not_handed_out():
    buffers = Buffers()
    buffers.give(buffers.take(100))
    assert len(buffers.take(30).obj) == 30
    assert len(buffers.take(60).obj) == 100
    buffers.give(memoryview(bytearray(5)))
    assert not buffers._free
