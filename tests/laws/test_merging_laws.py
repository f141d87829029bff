"""Laws that hold for every method of the registry, whatever it does."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import assert_same, equal_bits
from in_memory import merge_states
from registry_cases import (
    METHODS,
    NEUTRAL,
    ORDERED,
    OVER_ALL,
    PARTIAL,
    SOLVED,
    model_count,
    needs_base,
    shares,
    state,
)

from merge.registry import find_method

FLOATS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_copies_of_one_model_give_it_back(method, dtype):
    count = model_count(method)
    model = state(1, dtype)
    base = state(1, dtype) if needs_base(method) else None
    found = merge_states(method, [dict(model) for _ in range(count)], base, **NEUTRAL.get(method, {}))
    for name, tensor in model.items():
        exact = dtype.itemsize == 2 or needs_base(method)
        if method in SOLVED and dtype == torch.float64:
            torch.testing.assert_close(found[name], tensor, rtol=1e-13, atol=1e-14)
        else:
            assert equal_bits(found[name], tensor) if exact else within_one_ulp(found[name], tensor), name


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", [name for name in METHODS if needs_base(name) and name not in PARTIAL])
def test_copies_of_one_tuned_model_give_it_back(method, dtype):
    """Shares that sum to 1 of one task vector are that task vector: tuned = base + (tuned - base)."""
    count = model_count(method, 2)
    base, tuned = state(1, dtype), state(2, dtype)
    options = NEUTRAL.get(method, {})
    found = merge_states(method, [dict(tuned)] * count, base, weights=shares(method, count), **options)
    accumulator = torch.float64 if dtype.itemsize > 2 else torch.float32
    for name, tensor in tuned.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=2 * torch.finfo(dtype).eps, atol=16 * torch.finfo(accumulator).eps
        )


def within_one_ulp(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    above, below = (torch.nextafter(wanted, torch.full_like(wanted, limit)) for limit in (float("inf"), float("-inf")))
    return bool(((found == wanted) | (found == above) | (found == below)).all())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_names_types_and_shapes_are_the_references(method, dtype):
    models = [state(seed, torch.float32) for seed in range(model_count(method))]
    base = state(9, dtype) if needs_base(method) else None
    reference = base or models[0]
    found = merge_states(method, models, base)
    assert sorted(found) == sorted(reference)
    for name, tensor in reference.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ORDERED])
def test_the_order_of_the_models_does_not_matter(method):
    models = [state(seed, torch.float64) for seed in range(model_count(method))]
    base = state(9, torch.float64) if needs_base(method) else None
    found, turned = (merge_states(method, order, base) for order in (models, models[::-1]))
    for name in found:
        torch.testing.assert_close(found[name], turned[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_in_memory_stay_as_they_are(method):
    models = [state(seed) for seed in range(model_count(method))]
    base = state(9) if needs_base(method) else None
    merge_states(method, models, base)
    for seed, model in enumerate(models):
        assert_same(model, state(seed))
    if base is not None:
        assert_same(base, state(9))


@pytest.mark.parametrize(
    "method", [name for name in METHODS if not find_method(name).uses_place and name not in OVER_ALL]
)
def test_a_tensor_does_not_depend_on_its_neighbours(method):
    """Merging a part of the tensors gives that part of the merge, where depth does not matter."""
    models = [state(seed) for seed in range(model_count(method))]
    base = state(9) if needs_base(method) else None
    whole = merge_states(method, models, base)
    for name in ("layers.0.w", "long"):
        part = merge_states(method, [{name: m[name]} for m in models], base and {name: base[name]})
        assert equal_bits(part[name], whole[name])
