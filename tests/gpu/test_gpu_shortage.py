"""A GPU whose memory runs out: smaller portions, then the CPU, the same bytes, and a note."""

from __future__ import annotations

import pytest
import torch
from gpu_models import matrices, vectors
from in_memory import recipe_of, run_recipe
from registry_cases import PERMISSIVE

from merge.engine import RunSettings
from merge.errors import MergeError
from merge.streaming.shortage import ShortageError, is_shortage
from merge.streaming.torch_backend import TorchBackend
from merge.streaming.ways import ON_CPU, SMALLER, shortage_remarks

METHODS = ("soup", "ties", "model-stock", "della", "dare", "magmax")


def merged(method, models, base, **settings):
    found, _, outcome = run_recipe(
        recipe_of(method, models, base, **PERMISSIVE.get(method, {})), RunSettings(threads=3, **settings)
    )
    return found, outcome


@pytest.fixture
def short_of(stand_in, monkeypatch):
    """Return a function that lets a GPU fail on blocks of more than so many elements."""

    def limit(elements: int) -> list[int]:
        plain, seen = TorchBackend.load, []

        def load(self, raw, dtype, accumulator, base=None):
            found = plain(self, raw, dtype, accumulator, base)
            seen.append(len(found))
            if len(found) > elements:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return found

        monkeypatch.setattr(TorchBackend, "load", load)
        return seen

    return limit


@pytest.mark.parametrize("method", METHODS)
def test_smaller_portions_give_the_same_bytes(method, short_of, stand_in):
    base, models = vectors(method, torch.bfloat16)
    wanted, plain = merged(method, models, base, device="cuda")
    seen = short_of(2**16)
    emptied = stand_in.emptied
    found, outcome = merged(method, models, base, device="cuda")
    assert outcome.output_id == plain.output_id
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    if method != "della":  # of rows, the smallest portion is taken in any case
        assert max(seen) > 2**16
        assert stand_in.emptied > emptied + 1
        assert ["in smaller portions" in remark for remark in outcome.remarks] == [True]
        assert "CPU" not in outcome.remarks[0]


@pytest.mark.parametrize("method", METHODS)
def test_the_cpu_does_what_no_portion_fits(method, short_of):
    base, models = vectors(method, torch.bfloat16)
    _, plain = merged(method, models, base, device="cpu")
    short_of(0)
    _, outcome = merged(method, models, base, device="cuda")
    assert outcome.output_id == plain.output_id
    assert len(outcome.remarks) == 1
    assert outcome.remarks[0].startswith("the GPU's memory ran short")
    assert "on the CPU" in outcome.remarks[0]


def test_a_matrix_beyond_the_memory_goes_to_the_cpu_and_the_others_do_not(stand_in):
    base, models = matrices("tsv-m", torch.float32)
    large = torch.rand(200, 300)
    models = [model | {"large": large + number} for number, model in enumerate(models)]
    base = base | {"large": large}
    wanted, _ = merged("tsv-m", models, base, device="cpu")
    found, outcome = merged("tsv-m", models, base, device="cuda", gpu_memory=2_000_000)
    assert outcome.remarks == ["the GPU's memory ran short: the merge computed 1 of its parts on the CPU"]
    assert torch.equal(found["large"], wanted["large"])  # by the same library
    torch.testing.assert_close(found["wide"], wanted["wide"], rtol=1e-4, atol=1e-5)


def test_no_gpu_memory_at_all_is_the_cpu(stand_in):
    base, models = vectors("ties", torch.float16)
    _, plain = merged("ties", models, base, device="cpu")
    _, outcome = merged("ties", models, base, device="cuda", gpu_memory=1)
    assert outcome.output_id == plain.output_id
    assert "on the CPU" in outcome.remarks[0]


def test_nothing_is_said_where_memory_sufficed(stand_in):
    base, models = vectors("ties", torch.float16)
    assert merged("ties", models, base, device="cuda")[1].remarks == []
    assert shortage_remarks({}) == []


def test_the_remark_counts_each_way_once():
    (remark,) = shortage_remarks({SMALLER: 5, ON_CPU: 2})
    assert remark.endswith("the merge computed 3 of its parts in smaller portions and 2 of its parts on the CPU")


def test_what_the_arrays_held_is_free_before_the_next_way(short_of, monkeypatch):
    """The error, whose frames hold the arrays of the block, must be gone when memory is given back."""
    import sys

    short_of(0)
    plain, handled = TorchBackend.release, []
    monkeypatch.setattr(TorchBackend, "release", lambda self: (handled.append(sys.exc_info()[1]), plain(self)))
    base, models = vectors("soup", torch.float16)
    merged("soup", models, base, device="cuda")
    assert handled
    assert not any(handled)


def test_another_error_is_no_shortage(stand_in, monkeypatch):
    def load(self, *_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(TorchBackend, "load", load)
    base, models = vectors("soup", torch.float16)
    with pytest.raises(MergeError, match=r"failed on tensor 'long'.*illegal memory access"):
        merged("soup", models, base, device="cuda")


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (ShortageError("x"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling …"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("shape '[3]' is invalid"), False),
        (MemoryError(), False),  # of the host: going on there would not help
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_a_shortage(error, is_one):
    assert is_shortage(error) is is_one
