"""A real GPU against the CPU, over the whole registry; skipped where there is none."""

from __future__ import annotations

import pytest
import torch
from gpu_models import MATRIX_METHODS, alike, matrices, vectors
from in_memory import merge_states, recipe_of, run_recipe
from registry_cases import METHODS, PERMISSIVE

from merge.engine import RunSettings
from merge.streaming.backends import GPU_CHUNK_ELEMENTS

pytestmark = pytest.mark.cuda
TYPES = [torch.bfloat16, torch.float16, torch.float32]
ON_CPU = RunSettings(threads=2, device="cpu")


def on_gpu(**settings):
    return RunSettings(**{"threads": 3, "device": "cuda:0"} | settings)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shapes", [vectors, matrices])
def test_the_outcome_is_the_cpus_within_one_rounding(shapes, method, dtype):
    base, models = shapes(method, dtype)
    options = PERMISSIVE.get(method, {})
    wanted = merge_states(method, models, base, settings=ON_CPU, **options)
    alike(method, merge_states(method, models, base, settings=on_gpu(), **options), wanted)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shapes", [vectors, matrices])
def test_threads_and_chunks_change_no_byte(shapes, method):
    base, models = shapes(method, torch.bfloat16)
    recipe = recipe_of(method, models, base, **PERMISSIVE.get(method, {}))
    ways = [(1, None), (3, 2**16), (8, 3 * 2**16), (3, GPU_CHUNK_ELEMENTS)]
    found = {run_recipe(recipe, on_gpu(threads=threads, chunk_elements=chunk))[2].output_id for threads, chunk in ways}
    assert len(found) == 1


def test_many_chunks_in_flight_are_not_mixed_up():
    """Buffers are filled again and again while copies are under way."""
    states = [
        {f"w{n}": torch.full((2_000_000,), float(model * 100 + n), dtype=torch.bfloat16) for n in range(24)}
        for model in range(3)
    ]
    found = merge_states("soup", states, settings=on_gpu(threads=6, chunk_elements=2**18))
    for name, tensor in found.items():
        wanted = sum(float(state[name][0]) for state in states) / 3
        assert bool((tensor == torch.tensor(wanted).to(tensor.dtype)).all()), name


@pytest.mark.parametrize("method", ["ties", *MATRIX_METHODS])
def test_memory_stays_under_the_limit(method):
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    generator = torch.Generator().manual_seed(0)
    base, *models = ({f"w{n}": torch.randn(512, 512, generator=generator) for n in range(8)} for _ in range(4))
    limit = 2**27
    _, _, outcome = run_recipe(recipe_of(method, models, base), on_gpu(threads=8, gpu_memory=limit))
    assert torch.cuda.max_memory_reserved() <= limit
    assert outcome.remarks == []


def test_a_limit_that_is_too_small_for_anything_is_the_cpu():
    base, models = vectors("ties", torch.bfloat16)
    recipe = recipe_of("ties", models, base)
    _, _, outcome = run_recipe(recipe, on_gpu(gpu_memory=1))
    assert outcome.output_id == run_recipe(recipe, ON_CPU)[2].output_id
    assert "on the CPU" in outcome.remarks[0]


def test_a_gpu_that_others_have_filled_is_done_without():
    base, models = matrices("tsv-m", torch.float32)
    wanted = merge_states("tsv-m", models, base, settings=ON_CPU)
    torch.cuda.set_per_process_memory_fraction(1e-9, 0)
    try:
        import merge.streaming.gpus as gpus

        plain, gpus.Gpus.__enter__ = gpus.Gpus.__enter__, lambda self: self
        try:
            found, _, outcome = run_recipe(recipe_of("tsv-m", models, base), on_gpu())
        finally:
            gpus.Gpus.__enter__ = plain
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert "on the CPU" in outcome.remarks[0]
    alike("tsv-m", found, wanted)


def test_all_gpus_give_the_bytes_of_one():
    base, models = vectors("ties", torch.bfloat16)
    recipe = recipe_of("ties", models, base)
    settings = (on_gpu(), on_gpu(device="cuda", threads=None))
    assert len({run_recipe(recipe, each)[2].output_id for each in settings}) == 1
