"""What the GPU reads and writes after the call has returned: buffers, memory of other streams, fetched bytes."""

from __future__ import annotations

import pytest
import torch
from stand_in_gpu import RECORDED, OnGpu, StandIn, Stream

from merge.streaming.lanes import CudaLanes
from merge.streaming.torch_backend import TorchBackend

GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _on_the_stand_in(stand_in):
    with StandIn():
        yield


@pytest.fixture
def lazy(monkeypatch):
    """Let a stream that waits for an event not have got to it yet, as a GPU that is busy with something else."""
    monkeypatch.setattr(Stream, "wait_event", lambda self, event: None)


def floats(raw: memoryview) -> torch.Tensor:
    return torch.frombuffer(raw, dtype=torch.float32)


def test_arithmetic_waits_for_what_was_sent():
    lanes = CudaLanes(GPU)
    there = lanes.send(torch.arange(3.0))
    assert isinstance(there, OnGpu)
    assert (there + 1).tolist() == [1, 2, 3]


def test_what_was_not_waited_for_is_no_number(lazy):
    there = CudaLanes(GPU).send(torch.arange(3.0))
    assert there.isnan().all()  # else the test above would show nothing


def test_a_buffer_is_not_filled_again_before_it_was_read(lazy):
    backend = TorchBackend("cuda:0")
    floats(backend.raw(0, 8)).copy_(torch.tensor([1.0, 2.0]))
    there = backend._lanes.send(floats(backend._raw[0].numpy().data))
    assert there.isnan().all()
    floats(backend.raw(0, 8)).fill_(7)
    assert there.tolist() == [1, 2]


def test_a_larger_buffer_does_not_take_the_place_of_one_that_is_still_read(lazy):
    backend = TorchBackend("cuda:0")
    floats(backend.raw(0, 8)).fill_(3)
    there = backend._lanes.send(floats(backend._raw[0].numpy().data))
    backend.raw(0, 16)
    assert there.tolist() == [3, 3]


def test_statistics_are_not_overwritten_by_the_next_ones(lazy):
    backend, numbers = TorchBackend("cuda:0"), []
    for value in (1, 2):
        floats(backend.raw("aside", 8)).fill_(value)
        numbers.append(backend._lanes.send(floats(backend._raw["aside"].numpy().data)))
    backend.release()
    assert [number.tolist() for number in numbers] == [[1, 1], [2, 2]]


def test_memory_that_was_taken_for_one_stream_is_kept_for_the_other():
    lanes = CudaLanes(GPU)
    there = lanes.send(torch.arange(3.0))
    assert [(kept is there, stream) for kept, stream in RECORDED] == [(True, lanes._compute)]


def test_fetched_bytes_are_there():
    lanes, host = CudaLanes(GPU), torch.zeros(3)
    lanes.fetch(torch.arange(3.0).to(GPU), host)
    assert host.tolist() == [0, 1, 2]


def test_bytes_are_fetched_after_the_arithmetic(monkeypatch):
    lanes, order = CudaLanes(GPU), []
    monkeypatch.setattr(lanes._outward, "wait_event", lambda event: order.append(event._stream))
    lanes.fetch(torch.arange(3.0).to(GPU), torch.zeros(3))
    assert order == [lanes._compute]


def test_a_thread_computes_on_its_own_stream(monkeypatch):
    lanes, current = CudaLanes(GPU), []
    monkeypatch.setattr(torch.cuda, "set_stream", current.append)
    lanes.begin()
    assert current == [lanes._compute]


def test_large_buffers_are_not_pinned_and_neither_is_what_cannot_be(monkeypatch):
    from merge.streaming import torch_backend

    monkeypatch.undo()
    asked = []

    def empty(nbytes, dtype, pin_memory=False):
        asked.append(pin_memory)
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return torch.zeros(nbytes, dtype=dtype)

    backend = TorchBackend("cpu")
    backend._cuda = True
    monkeypatch.setattr(torch, "empty", empty)
    assert len(backend.raw("a", torch_backend.PINNED_BYTES)) == torch_backend.PINNED_BYTES
    assert asked == [True, False]
    backend.raw("b", torch_backend.PINNED_BYTES + 1)
    assert asked == [True, False, False]
