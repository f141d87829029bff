"""A GPU that is none: what can be learned without one about where tensors lie, and about what is waited for.

Tensors "on the GPU" lie in the host's memory and know that they must not be mixed with those of the host, as torch
forbids it for CUDA. Copies that may run on after the call are put off for as long as CUDA could put them off: until
somebody waits for an event behind them, or lets another stream wait for it. Arithmetic is done at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

INDEXING = {"__getitem__", "__setitem__", "index_put_", "index_select"}  # indices may lie on the host
CROSSING = {"to", "copy_", "cpu", "empty_like"}
RECORDED: list[tuple[torch.Tensor, Any]] = []
_here = threading.local()


class OnGpu(torch.Tensor):
    """A tensor on the stand-in."""

    gpu = 0

    def record_stream(self, stream: Any) -> None:  # type: ignore[override]
        """Note that a stream other than that for which it was taken uses this memory."""
        RECORDED.append((self, stream))


class HostError(RuntimeError):
    """A tensor of the host and one of the GPU were mixed."""


class Stream:
    """Operations that are put off, in order."""

    def __init__(self, device: Any = None) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.device = device

    def run(self, count: int | None = None) -> None:
        """Do the first operations, or all."""
        count = len(self.waiting) if count is None else count
        todo, self.waiting[:count] = self.waiting[:count], []
        self.done = getattr(self, "done", 0) + len(todo)
        for operation in todo:
            operation()

    def wait_event(self, event: Event) -> None:
        """Do at once what this stream has to wait for, since its own operations are done at once."""
        event.synchronize()


class Event:
    """A place in a stream."""

    def __init__(self, *, blocking: bool = False) -> None:
        self._stream: Stream | None = None

    def record(self, stream: Stream) -> None:
        self._stream, self._place = stream, getattr(stream, "done", 0) + len(stream.waiting)

    def synchronize(self) -> None:
        assert self._stream is not None
        self._stream.run(max(0, self._place - getattr(self._stream, "done", 0)))


class StandIn(TorchFunctionMode):
    """Makes ``cuda:N`` a device of this thread."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        if name == "__get__":
            return self._attribute(function, args)
        tensors = list(_tensors((args, kwargs)))
        gpus = {_gpu_of(tensor) for tensor in tensors if isinstance(tensor, OnGpu)}
        if name in CROSSING:
            return self._crossing(name, function, args, kwargs)
        _refuse_mixing(name, tensors, gpus)
        target = next(iter(gpus), _wanted(kwargs.get("device")))
        if isinstance(kwargs.get("device"), torch.device | str):
            kwargs["device"] = "cpu"
        if name == "numpy" and gpus:
            raise HostError("can't convert cuda:0 device type tensor to numpy")
        found = function(*_plain(args), **_plain(kwargs))
        inplace = name.endswith("_") and not name.endswith("__") and args and isinstance(args[0], OnGpu)
        return args[0] if inplace else _placed(found, target)

    @staticmethod
    def _attribute(function: Any, args: Any) -> Any:
        found = function(*_plain(args))
        own = args[0]
        if isinstance(found, torch.device) and isinstance(own, OnGpu):
            return torch.device("cuda", _gpu_of(own))
        return _placed(found, _gpu_of(own) if isinstance(own, OnGpu) else None)

    def _crossing(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        own = args[0]
        here = _gpu_of(own) if isinstance(own, OnGpu) else None
        if name == "copy_":
            _copy(own, args[1], put_off=kwargs.get("non_blocking", False))
            return own
        devices = [each for each in (*args[1:], kwargs.get("device")) if isinstance(each, torch.device | str)]
        target = _wanted(devices[0]) if devices else here
        target = None if name == "cpu" else target
        args = [torch.device("cpu") if isinstance(each, torch.device | str) else each for each in args]
        kwargs = kwargs | ({"device": "cpu"} if "device" in kwargs else {})
        found = function(*_plain(args), **_plain(kwargs))
        if target != here and found.data_ptr() == own.as_subclass(torch.Tensor).data_ptr() and found.numel():
            found = found.clone()
        if name == "empty_like" and found.is_floating_point() and target is not None:
            found.as_subclass(torch.Tensor).fill_(float("nan"))  # what nobody waited for is no number
        return _placed(found, target)


def _copy(target: torch.Tensor, source: torch.Tensor, *, put_off: bool) -> None:
    into, out_of = target.as_subclass(torch.Tensor), source.as_subclass(torch.Tensor)
    crosses = isinstance(target, OnGpu) != isinstance(source, OnGpu)
    stream = getattr(_here, "stream", None)
    if put_off and crosses and stream is not None:
        stream.waiting.append(lambda: _quietly(lambda: into.copy_(out_of)))
    else:
        _quietly(lambda: into.copy_(out_of))


def _quietly(operation: Callable[[], Any]) -> None:
    with torch._C.DisableTorchFunction():
        operation()


def _wanted(device: Any) -> int | None:
    if device is None:
        return None
    device = torch.device(device)
    return (device.index or 0) if device.type == "cuda" else None


def _gpu_of(tensor: torch.Tensor) -> int:
    return tensor.__dict__.get("gpu", 0)


def _tensors(found: Any) -> Iterator[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, list | tuple):
        for each in found:
            yield from _tensors(each)
    elif isinstance(found, dict):
        yield from _tensors(list(found.values()))


def _refuse_mixing(name: str, tensors: list[torch.Tensor], gpus: set[int]) -> None:
    mixed = gpus and name not in INDEXING and any(not isinstance(each, OnGpu) and each.dim() for each in tensors)
    if mixed or len(gpus) > 1:
        raise HostError(f"{name}: expected all tensors to be on the same device")


def _plain(found: Any) -> Any:
    if isinstance(found, OnGpu):
        return found.as_subclass(torch.Tensor)
    if isinstance(found, list | tuple):
        plain = [_plain(each) for each in found]
        return type(found)(plain) if type(found) in {list, tuple} else plain
    return {key: _plain(value) for key, value in found.items()} if isinstance(found, dict) else found


def _placed(found: Any, gpu: int | None) -> Any:
    if gpu is None:
        return found.as_subclass(torch.Tensor) if isinstance(found, OnGpu) else found
    if isinstance(found, torch.Tensor):
        there = found.as_subclass(OnGpu)
        there.__dict__["gpu"] = gpu
        return there
    if isinstance(found, tuple):
        placed = [_placed(each, gpu) for each in found]
        return type(found)(*placed) if hasattr(found, "_fields") else type(found)(placed)
    return found


class StandInCuda:
    """What replaces functions of ``torch.cuda``.

    Attributes:
        count: GPUs.
        free, total: Bytes of each.
        fractions: What was asked of the allocator, in order.
        emptied: How often its caches were emptied.
        loaded: GPUs on which libraries were loaded before any worker began.
    """

    Stream, Event = Stream, Event

    def __init__(self, count: int = 1, free: int = 2**34) -> None:
        self.count, self.free, self.total = count, free, 2**34
        self.fractions: list[tuple[str, float]] = []
        self.emptied = 0
        self.loaded: list[str] = []

    def device_count(self) -> int:
        return self.count

    def is_available(self) -> bool:
        return self.count > 0

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        return self.free, self.total

    def memory_reserved(self, device: Any) -> int:
        return 0

    def get_device_properties(self, device: Any) -> Any:
        return type("Properties", (), {"total_memory": self.total})

    def set_per_process_memory_fraction(self, fraction: float, device: Any) -> None:
        self.fractions.append((str(device), fraction))

    def empty_cache(self) -> None:
        self.emptied += 1

    def set_stream(self, stream: Stream) -> None:
        _here.stream = stream

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, _here.stream = getattr(_here, "stream", None), stream
        try:
            yield
        finally:
            _here.stream = before
