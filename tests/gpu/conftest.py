"""A stand-in for a GPU, and what needs a real one."""

from __future__ import annotations

import threading

import pytest
import torch
from stand_in_gpu import RECORDED, StandIn, StandInCuda

from merge.streaming import gpus
from merge.streaming.torch_backend import TorchBackend


@pytest.fixture
def stand_in(monkeypatch):
    """Make ``cuda`` a device that torch and the program believe in, in every worker's thread."""
    cuda = StandInCuda()
    for name in (name for name in dir(cuda) if not name.startswith("_") and hasattr(torch.cuda, name)):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    plain = TorchBackend.__init__

    def in_its_thread(self, *args, **options):
        if threading.current_thread() is not threading.main_thread():  # which goes on after the test
            StandIn().__enter__()
        plain(self, *args, **options)

    monkeypatch.setattr(TorchBackend, "__init__", in_its_thread)
    monkeypatch.setattr(TorchBackend, "_buffer", lambda self, nbytes: torch.empty(nbytes, dtype=torch.uint8))
    monkeypatch.setattr(gpus, "_check_device", lambda device: None)
    monkeypatch.setattr(gpus, "load_solvers", cuda.loaded.append)
    RECORDED.clear()
    yield cuda
    RECORDED.clear()


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))
